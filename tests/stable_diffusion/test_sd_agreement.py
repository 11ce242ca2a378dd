"""Numerical agreement with diffusers' own pipelines, schedulers and loaders."""

from __future__ import annotations

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)

from diffinv.method.application import denoise
from diffinv.method.conditioning import DiffTokens
from diffinv.method.editors import Ddim, SDEdit, Trajectory
from diffinv.method.sampling import add_noise, alpha_bar, training_target
from diffinv_stable_diffusion.backbone import load

PROMPT = "the red cat in the cab"
STEPS = 10


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


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_sampling_equals_the_pipeline(backbone, checkpoint, family, guidance):
    latents = noise(2, 4, 8, 8)
    conditioning = backbone.encode_prompts([PROMPT, "a blue dog"])
    empty = backbone.encode_prompts(["", ""])
    with torch.no_grad():
        path = pure_noise(backbone, latents)
        ours = denoise(backbone, path, conditioning, empty, guidance, None)
    theirs = pipeline(checkpoint, family, backbone)(
        prompt=[PROMPT, "a blue dog"],
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=latents,
        output_type="latent",
    ).images
    assert ours.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-4


def test_sampling_in_bfloat16_equals_the_pipeline_within_its_rounding(checkpoint, family):
    backbone = load(family, str(checkpoint), "cpu", torch.bfloat16)
    latents = noise(1, 4, 8, 8)
    with torch.no_grad():
        conditioning, empty = backbone.encode_prompts([PROMPT]), backbone.encode_prompts([""])
        ours = denoise(backbone, pure_noise(backbone, latents), conditioning, empty, 3.0, None)
    theirs = pipeline(checkpoint, family, backbone)(
        prompt=PROMPT,
        num_inference_steps=STEPS,
        guidance_scale=3.0,
        latents=latents.bfloat16(),
        output_type="latent",
    ).images
    assert ours.dtype == torch.float32
    assert theirs.dtype == torch.bfloat16
    assert (ours - theirs.float()).abs().mean() < 0.03 * ours.std()


def test_decoding_equals_the_pipeline(backbone, checkpoint, family):
    latents = noise(1, 4, 8, 8)
    pipe = pipeline(checkpoint, family, backbone)
    with torch.no_grad():
        theirs = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample
    assert torch.equal(backbone.decode(latents), theirs)
    pictures = noise(1, 3, 64, 64, seed=2).clamp(-1, 1)
    with torch.no_grad():
        mean = pipe.vae.encode(pictures).latent_dist.mode()
    assert torch.equal(backbone.encode_images(pictures), mean * pipe.vae.config.scaling_factor)


@pytest.mark.parametrize("steps", [10, 15, 30])
def test_sdedit_equals_the_image_to_image_pipeline(backbone, checkpoint, family, steps):
    latents, seed = noise(1, 4, 8, 8), 3
    conditioning, empty = backbone.encode_prompts([PROMPT]), backbone.encode_prompts([""])
    path = SDEdit().trajectory(backbone, latents, conditioning, empty, steps, 4.0, seed)
    with torch.no_grad():
        ours = denoise(backbone, path, conditioning, empty, 4.0, None)
    theirs = pipeline(checkpoint, family, backbone, image_to_image=True)(
        prompt=PROMPT,
        image=latents,
        strength=SDEdit.share,
        num_inference_steps=steps,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(seed),
        output_type="latent",
    ).images
    assert (ours - theirs).abs().max() < 1e-4


def test_training_targets_equal_the_schedulers(backbone):
    theirs = DDPMScheduler.from_config(backbone.scheduler.config)
    latents, eps = noise(6, 4, 8, 8), noise(6, 4, 8, 8, seed=2)
    timesteps = torch.tensor([0, 1, 250, 500, 998, 999])
    a_bar = alpha_bar(backbone.alphas_cumprod, timesteps)
    assert torch.allclose(
        add_noise(latents, eps, a_bar), theirs.add_noise(latents, eps, timesteps), atol=1e-6
    )
    target = training_target(latents, eps, a_bar, backbone.prediction_type)
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
        assert (ours.extra["text_embeds"] - encoded[2]).abs().max() == 0.0
        assert (ours.extra["text_embeds"] - conditioning.extra["text_embeds"]).abs().max() > 1e-3


def test_ddim_inversion_comes_back(backbone):
    latents = noise(1, 4, 8, 8)
    conditioning, empty = backbone.encode_prompts([PROMPT]), backbone.encode_prompts([""])
    path = Ddim().trajectory(backbone, latents, conditioning, empty, 50, 1.0, 0)
    with torch.no_grad():
        back = denoise(backbone, path, conditioning, empty, 1.0, None)
    assert (path.samples[0] - latents).abs().mean() > 0.1
    assert (back - latents).abs().max() < 1e-3
