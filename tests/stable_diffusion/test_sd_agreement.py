"""Numerical agreement with diffusers' own pipelines, schedulers and loaders."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

from diffinv.contracts import DiffTokens, Trajectory
from diffinv.method.application import denoise
from diffinv.method.editors import Ddim, SDEdit
from diffinv.method.sampling import add_noise, training_target
from diffinv_stable_diffusion.backbone import load

PROMPT = "the red cat in the cab"
STEPS = 10
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 0.02}
"""The mean difference that is reached, as a share of the latents' standard deviation."""
CASES = [
    ("sd15", "epsilon"),
    ("sd15", "v_prediction"),
    ("sd21-base", "epsilon"),
    ("sd21", "v_prediction"),
    ("sdxl", "epsilon"),
    ("sdxl", "v_prediction"),
]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request):
    """A family, and what the checkpoint of it predicts."""
    return request.param


@pytest.fixture(scope="module")
def family(case):
    return case[0]


@pytest.fixture(scope="module")
def checkpoint(case, checkpoints, tmp_path_factory):
    """The family's tiny checkpoint, its scheduler set to the case's prediction type."""
    name, prediction = case
    folder = tmp_path_factory.mktemp("agreement") / name
    shutil.copytree(checkpoints(name), folder)
    settings = folder / "scheduler" / "scheduler_config.json"
    changed = json.loads(settings.read_text()) | {"prediction_type": prediction}
    settings.write_text(json.dumps(changed))
    return folder


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def backbone(request, case, checkpoint):
    """The checkpoint behind the contract, in either dtype; no test changes it."""
    made = load(case[0], str(checkpoint), "cpu", dtype=request.param)
    assert (made.prediction_type, made.plan.dtype) == (case[1], request.param)
    return made


def pipeline(folder, family, backbone, image_to_image=False):
    """diffusers' pipeline over the same folder, with DDIM as the backbone has it."""
    classes = {
        (False, False): StableDiffusionPipeline,
        (False, True): StableDiffusionImg2ImgPipeline,
        (True, False): StableDiffusionXLPipeline,
        (True, True): StableDiffusionXLImg2ImgPipeline,
    }
    cls = classes[family == "sdxl", image_to_image]
    extra = {} if family == "sdxl" else {"safety_checker": None}
    pipe = cls.from_pretrained(folder, dtype=backbone.plan.dtype, local_files_only=True, **extra)
    pipe.scheduler = DDIMScheduler.from_config(backbone.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def noise(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pure_noise(backbone, latents):
    """B's trajectory of nothing but noise."""
    steps = backbone.timesteps(STEPS)
    return Trajectory(steps, latents.expand(len(steps) + 1, *latents.shape))


def keep_latents_in_float32(pipe):
    """Let the denoiser alone compute in the pipeline's dtype, as the backbone has it."""
    forward, dtype = pipe.unet.forward, pipe.unet.dtype

    def wrapped(sample, *args, **kwargs):
        return (forward(sample.to(dtype), *args, **kwargs)[0].float(),)

    pipe.unet.forward = wrapped
    return pipe


def sampled(backbone, latents, guidance):
    """The backbone's own samples of two prompts."""
    conditioning = backbone.encode_prompts([PROMPT, "a blue dog"])
    empty = backbone.encode_prompts(["", ""])
    with torch.no_grad():
        return denoise(backbone, pure_noise(backbone, latents), conditioning, empty, guidance, None)


def sampled_by(pipe, latents, guidance):
    """The pipeline's samples of the same prompts."""
    return pipe(
        prompt=[PROMPT, "a blue dog"],
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=latents,
        output_type="latent",
    ).images


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_sampling_equals_the_pipeline(backbone, checkpoint, family, guidance):
    latents = noise(2, 4, 8, 8)
    ours = sampled(backbone, latents, guidance)
    pipe = keep_latents_in_float32(pipeline(checkpoint, family, backbone))
    assert ours.std() > 0.1
    assert (ours - sampled_by(pipe, latents, guidance)).abs().max() < 1e-4


def test_sampling_equals_the_whole_pipeline_within_its_rounding(backbone, checkpoint, family):
    """In bfloat16 a pipeline rounds its latents after every step, which the method does not."""
    latents = noise(2, 4, 8, 8)
    ours = sampled(backbone, latents, 5.0)
    dtype = backbone.plan.dtype
    theirs = sampled_by(pipeline(checkpoint, family, backbone), latents.to(dtype), 5.0)
    assert (ours.dtype, theirs.dtype) == (torch.float32, dtype)
    assert (ours - theirs).abs().mean() < ROUNDING[dtype] * ours.std()


def test_decoding_equals_the_autoencoder(backbone, checkpoint):
    """Which is in float32 beside a denoiser of any dtype."""
    latents = noise(1, 4, 8, 8)
    vae = AutoencoderKL.from_pretrained(checkpoint, subfolder="vae", local_files_only=True)
    with torch.no_grad():
        theirs = vae.decode(latents / vae.config.scaling_factor).sample
    assert torch.equal(backbone.decode(latents), theirs)
    pictures = noise(1, 3, 64, 64, seed=2).clamp(-1, 1)
    with torch.no_grad():
        mean = vae.encode(pictures).latent_dist.mode()
    assert torch.equal(backbone.encode_images(pictures), mean * vae.config.scaling_factor)


@pytest.mark.parametrize("steps", [10, 15])
def test_sdedit_equals_the_image_to_image_pipeline(backbone, checkpoint, family, steps):
    latents, seed = noise(1, 4, 8, 8), 3
    conditioning, empty = backbone.encode_prompts([PROMPT]), backbone.encode_prompts([""])
    path = SDEdit().trajectory(backbone, latents, conditioning, empty, steps, 4.0, seed)
    with torch.no_grad():
        ours = denoise(backbone, path, conditioning, empty, 4.0, None)
    theirs = pipeline(checkpoint, family, backbone, image_to_image=True)(
        prompt=PROMPT,
        image=latents.to(backbone.plan.dtype),
        strength=SDEdit().share,
        num_inference_steps=steps,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
    ).images
    assert (ours - theirs).abs().mean() < ROUNDING[backbone.plan.dtype] * ours.std()
    if backbone.plan.dtype == torch.float32:
        assert (ours - theirs).abs().max() < 1e-4


def test_training_targets_equal_the_schedulers(backbone):
    theirs = DDPMScheduler.from_config(backbone.scheduler.config)
    latents, eps = noise(6, 4, 8, 8), noise(6, 4, 8, 8, seed=2)
    timesteps = torch.tensor([0, 1, 250, 500, 998, 999])
    level = backbone.schedule.at(timesteps)
    assert torch.allclose(
        add_noise(latents, eps, level), theirs.add_noise(latents, eps, timesteps), atol=1e-6
    )
    target = training_target(latents, eps, level, backbone.prediction_type)
    wanted = (
        eps
        if backbone.prediction_type == "epsilon"
        else theirs.get_velocity(latents, eps, timesteps)
    )
    assert torch.allclose(target, wanted, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_input_space_tokens_equal_a_textual_inversion(backbone, checkpoint, family, count):
    values = noise(count, backbone.token_width) * 0.1
    conditioning = backbone.encode_prompts([PROMPT])
    with torch.no_grad():
        ours = conditioning.extend(DiffTokens(values[None], "input"))
    pipe = pipeline(checkpoint, family, backbone)
    widths = [tower.width for tower in backbone.towers]
    encoders = [(pipe.text_encoder, pipe.tokenizer)]
    if family == "sdxl":
        encoders.append((pipe.text_encoder_2, pipe.tokenizer_2))
        pipe.text_encoder_2.text_model.eos_token_id = pipe.tokenizer_2.eos_token_id
    for part, (encoder, tokenizer) in zip(values.split(widths, 1), encoders, strict=True):
        pipe.load_textual_inversion(
            {"emb_params": part.contiguous()}, "<diff>", text_encoder=encoder, tokenizer=tokenizer
        )
    with torch.no_grad():
        encoded = pipe.encode_prompt(
            prompt=f"{PROMPT} <diff>", device="cpu", num_images_per_prompt=1,
            do_classifier_free_guidance=False,
        )  # fmt: skip
    assert (ours.prompt_embeds - encoded[0]).abs().max() == 0.0
    assert (ours.prompt_embeds - conditioning.prompt_embeds).abs().max() > 1e-3
    if family == "sdxl":
        assert (ours.extra["pooled"] - encoded[2]).abs().max() == 0.0
        assert (ours.extra["pooled"] - conditioning.extra["pooled"]).abs().max() > 1e-3


BACK = {
    (torch.float32, "epsilon"): (50, 1e-3),
    (torch.float32, "v_prediction"): (50, 1e-3),
    (torch.bfloat16, "epsilon"): (10, 0.5),
    (torch.bfloat16, "v_prediction"): (20, 1e-2),
}
"""Steps, and within what DDIM inversion returns to latents of deviation 1. A rounded epsilon is
divided by the small share of signal at the noisy end; a rounded v is not."""


def test_ddim_inversion_comes_back(backbone):
    steps, within = BACK[backbone.plan.dtype, backbone.prediction_type]
    latents = noise(1, 4, 8, 8)
    conditioning, empty = backbone.encode_prompts([PROMPT]), backbone.encode_prompts([""])
    path = Ddim().trajectory(backbone, latents, conditioning, empty, steps, 1.0, 0)
    with torch.no_grad():
        back = denoise(backbone, path, conditioning, empty, 1.0, None)
    assert (path.samples[0] - latents).abs().mean() > 0.1
    assert (back - latents).abs().max() < within
