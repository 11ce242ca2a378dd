import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from diffinv.contracts import DiffTokens
from diffinv.method.application import denoise
from diffinv.method.editors import Ddim, EditFriendly, SDEdit
from diffinv.method.sampling import (
    add_noise,
    alpha_bar,
    ddim_step,
    guided,
    predicted_original,
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
    sample, output = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    for i, t in enumerate(scheduler.timesteps):
        t_prev = int(scheduler.timesteps[i + 1]) if i < 9 else -1
        expected = scheduler.step(output, t, sample).prev_sample
        a_bar = alpha_bar(scheduler.alphas_cumprod, torch.full((2,), int(t)))
        a_prev = alpha_bar(scheduler.alphas_cumprod, torch.full((2,), t_prev))
        actual = ddim_step(sample, output, a_bar, a_prev, kind)
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_and_target_equal_diffusers(kind):
    scheduler = DDPMScheduler(prediction_type=kind)
    latents, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    timesteps = torch.tensor([0, 500, 999])
    a_bar = alpha_bar(scheduler.alphas_cumprod, timesteps)
    noisy = add_noise(latents, noise, a_bar)
    torch.testing.assert_close(noisy, scheduler.add_noise(latents, noise, timesteps))
    target = training_target(latents, noise, a_bar, kind)
    if kind == "v_prediction":
        expected = scheduler.get_velocity(latents, noise, timesteps)
        torch.testing.assert_close(target, expected)
    original = predicted_original(noisy, target, a_bar, kind)
    torch.testing.assert_close(original[:2], latents[:2], atol=1e-3, rtol=1e-3)


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
