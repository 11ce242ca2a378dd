import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler

from diffinv.contracts import CLEAN, DiffTokens, RectifiedFlow, VariancePreserving
from diffinv.method.application import denoise
from diffinv.method.editors import Ddim, EditFriendly, SDEdit
from diffinv.method.sampling import (
    add_noise,
    ddim_step,
    guided,
    predicted_noise,
    predicted_original,
    step_variance,
    training_target,
)

KINDS = ["epsilon", "v_prediction"]


def scheduler_of(kind, **changes):
    return DDIMScheduler(
        clip_sample=False, prediction_type=kind, timestep_spacing="trailing", **changes
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ddim_step_equals_diffusers(kind):
    scheduler = scheduler_of(kind)
    scheduler.set_timesteps(10)
    path = VariancePreserving(scheduler.alphas_cumprod)
    sample, output = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for i, t in enumerate(scheduler.timesteps):
        t_prev = int(scheduler.timesteps[i + 1]) if i < 9 else -1
        expected = scheduler.step(output, t, sample).prev_sample
        level, prev = (path.at(torch.full((2,), one)) for one in (int(t), t_prev))
        actual = ddim_step(sample, output, level, prev, kind)
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_and_target_equal_diffusers(kind):
    scheduler = DDPMScheduler(prediction_type=kind)
    latents, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    timesteps = torch.tensor([0, 500, 999])
    level = VariancePreserving(scheduler.alphas_cumprod).at(timesteps)
    noisy = add_noise(latents, noise, level)
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, timesteps))
    target = training_target(latents, noise, level, kind)
    if kind == "v_prediction":
        expected = scheduler.get_velocity(latents, noise, timesteps)
        torch.testing.assert_close(target, expected)
    original = predicted_original(noisy, target, level, kind)
    torch.testing.assert_close(original[:2], latents[:2], atol=1e-3, rtol=1e-3)


def test_a_flow_step_is_eulers_as_in_diffusers():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(8)
    path, sample = RectifiedFlow(), torch.randn(2, 4, 8, 8)
    latents, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for i, t in enumerate(scheduler.timesteps):
        sigma, after = (float(scheduler.sigmas[j]) for j in (i, i + 1))
        level, prev = (path.at(torch.full((2,), one or CLEAN)) for one in (sigma, after))
        noisy = scheduler.scale_noise(latents, t[None].expand(2), noise)
        torch.testing.assert_close(add_noise(latents, noise, level), noisy)
        output = training_target(latents, noise, level, "flow")
        expected = scheduler.step(output, t, sample).prev_sample
        actual = ddim_step(sample, output, level, prev, "flow")
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)
        sample = expected


LEVELS = [
    VariancePreserving(torch.linspace(0.99, 0.05, 100)).at(torch.tensor([10, 60])),
    RectifiedFlow().at(torch.tensor([0.2, 0.7])),
]


@pytest.mark.parametrize("level", LEVELS, ids=["preserving", "flow"])
@pytest.mark.parametrize("kind", [*KINDS, "flow", "sample"])
def test_every_prediction_gives_back_latents_and_noise(level, kind):
    latents, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    noisy = add_noise(latents, noise, level)
    output = training_target(latents, noise, level, kind)
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(predicted_noise(noisy, output, level, kind), noise, **close)
    torch.testing.assert_close(predicted_original(noisy, output, level, kind), latents, **close)


@pytest.mark.parametrize(
    ("path", "times"),
    [
        (VariancePreserving(torch.linspace(0.99, 0.05, 100)), (60, 40)),
        (RectifiedFlow(), (0.7, 0.4)),
        (RectifiedFlow(), (1.0, 0.9)),
    ],
)
def test_a_step_with_its_variance_keeps_the_path(path, times):
    """z_prev made from z_t with sigma^2 has the path's own mean and spread, given x_0."""
    level, prev = (path.at(torch.tensor([t])) for t in times)
    generator = torch.Generator().manual_seed(0)
    latents = torch.full((1, 1, 1, 400_000), 0.8)
    noise, more = (torch.randn(latents.shape, generator=generator) for _ in range(2))
    noisy = add_noise(latents, noise, level)
    variance = step_variance(level, prev)
    mean = ddim_step(noisy, noise, level, prev, "epsilon", variance) if float(level.a) else None
    if mean is None:  # pure noise says nothing of x_0, but the flow does
        output = training_target(latents, noise, level, "flow")
        mean = ddim_step(noisy, output, level, prev, "flow", variance)
    after = mean + variance.sqrt() * more
    assert float(after.mean()) == pytest.approx(float(prev.a) * 0.8, abs=5e-3)
    assert float(after.std()) == pytest.approx(float(prev.s), abs=5e-3)


def latents_of(backbone):
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))


def test_ddim_inversion_comes_back(tiny_backbone):
    latents = latents_of(tiny_backbone)
    source = tiny_backbone.encode_prompts(["a red castle", "a blue mill by the sea"])
    empty = tiny_backbone.encode_prompts(["", ""])
    path = Ddim().trajectory(tiny_backbone, latents, source, empty, 50, 1.0, 0)
    back = denoise(tiny_backbone, path, source, empty, 1.0, None)
    assert float((back - latents).abs().max()) < 5e-3
    assert float((path.samples[0] - latents).abs().max()) > 0.1


def test_edit_friendly_reconstructs_at_any_guidance(tiny_backbone):
    latents = latents_of(tiny_backbone)
    source = tiny_backbone.encode_prompts(["a red castle", "a blue mill"])
    empty = tiny_backbone.encode_prompts(["", ""])
    path = EditFriendly().trajectory(tiny_backbone, latents, source, empty, 8, 3.0, 0)
    back = denoise(tiny_backbone, path, source, empty, 3.0, None)
    torch.testing.assert_close(back, latents, atol=1e-3, rtol=1e-3)


def test_sdedit_starts_part_of_the_way(tiny_backbone):
    latents = latents_of(tiny_backbone)
    source = tiny_backbone.encode_prompts(["a", "b"])
    path = SDEdit().trajectory(tiny_backbone, latents, source, source, 10, 2.0, 0)
    assert path.timesteps == tiny_backbone.timesteps(10)[3:]
    torch.testing.assert_close(path.samples[-1], latents)


@pytest.mark.parametrize("editor", [Ddim(), SDEdit(), EditFriendly()])
def test_a_picture_does_not_depend_on_its_batch(tiny_backbone, editor):
    latents = latents_of(tiny_backbone)
    source = tiny_backbone.encode_prompts(["a red castle", "a blue mill"])
    empty = tiny_backbone.encode_prompts(["", ""])
    together = editor.trajectory(tiny_backbone, latents, source, empty, 4, 2.0, 5)
    alone = editor.trajectory(tiny_backbone, latents[1:], source[1:], empty[1:], 4, 2.0, 5)
    torch.testing.assert_close(together.samples[:, 1:], alone.samples, atol=1e-4, rtol=1e-4)


def test_guidance_in_one_call_equals_two(tiny_backbone):
    latents = latents_of(tiny_backbone)
    timesteps = torch.tensor([400, 400])
    prompt = tiny_backbone.encode_prompts(["a castle", "a mill"])
    empty = tiny_backbone.encode_prompts(["", ""])
    longer = prompt.extend(DiffTokens(torch.randn(1, 3, 32), "output"))
    for conditioning in (prompt, longer):
        plain = tiny_backbone.predict(latents, timesteps, empty)
        told = tiny_backbone.predict(latents, timesteps, conditioning)
        actual = guided(tiny_backbone, latents, timesteps, conditioning, empty, 5.0)
        torch.testing.assert_close(actual, plain + 5 * (told - plain), atol=1e-4, rtol=1e-4)
