"""The diffusion arithmetic on ``alphas_cumprod``: noise, targets, DDIM both ways, guidance.

A DDIM step is linear in the sample and the model's output,
``x_prev = a * x + b * model_output``, for both epsilon and v; its exact inverse follows.
Everything is written for batches with one timestep per row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..contracts import Backbone, Conditioning, PredictionType
from ..contracts.conditioning import concatenate
from . import answers

CLEAN = -1
"""The timestep that stands for no noise: alphas_cumprod is 1 there."""


def alpha_bar(alphas_cumprod: Tensor, timesteps: Tensor) -> Tensor:
    """alphas_cumprod at ``timesteps`` [n], 1 at :data:`CLEAN`; shape [n, 1, 1, 1]."""
    picked = alphas_cumprod[timesteps.clamp_min(0)]
    return torch.where(timesteps < 0, torch.ones_like(picked), picked)[:, None, None, None]


def add_noise(latents: Tensor, noise: Tensor, a_bar: Tensor) -> Tensor:
    """z_t = sqrt(a_bar) z + sqrt(1 - a_bar) eps."""
    return a_bar.sqrt() * latents + (1 - a_bar).sqrt() * noise


def training_target(
    latents: Tensor, noise: Tensor, a_bar: Tensor, prediction_type: PredictionType
) -> Tensor:
    """What the denoiser was trained to predict: eps, or v = sqrt(a_bar) eps - sqrt(1 - a_bar) z."""
    if prediction_type == "epsilon":
        return noise
    return a_bar.sqrt() * noise - (1 - a_bar).sqrt() * latents


def predicted_noise(
    sample: Tensor, model_output: Tensor, a_bar: Tensor, prediction_type: PredictionType
) -> Tensor:
    """noise_pred from either kind of model output."""
    if prediction_type == "epsilon":
        return model_output
    return a_bar.sqrt() * model_output + (1 - a_bar).sqrt() * sample


def predicted_original(
    sample: Tensor, model_output: Tensor, a_bar: Tensor, prediction_type: PredictionType
) -> Tensor:
    """The clean latents that a model output implies."""
    if prediction_type == "epsilon":
        return (sample - (1 - a_bar).sqrt() * model_output) / a_bar.sqrt()
    return a_bar.sqrt() * sample - (1 - a_bar).sqrt() * model_output


def step_variance(a_bar: Tensor, a_bar_prev: Tensor) -> Tensor:
    """sigma_t^2 of a DDPM step (DDIM with eta = 1)."""
    return (1 - a_bar_prev) / (1 - a_bar) * (1 - a_bar / a_bar_prev)


def ddim_step(
    sample: Tensor,
    model_output: Tensor,
    a_bar: Tensor,
    a_bar_prev: Tensor,
    prediction_type: PredictionType,
    variance: Tensor | float = 0.0,
) -> Tensor:
    """The mean of x_{t-1}; with ``variance`` sigma^2, the caller adds noise of that variance."""
    original = predicted_original(sample, model_output, a_bar, prediction_type)
    noise_pred = predicted_noise(sample, model_output, a_bar, prediction_type)
    return (
        a_bar_prev.sqrt() * original + (1 - a_bar_prev - variance).clamp_min(0).sqrt() * noise_pred
    )


def ddim_coefficients(
    a_bar: Tensor, a_bar_prev: Tensor, prediction_type: PredictionType
) -> tuple[Tensor, Tensor]:
    """(a, b) of ``x_prev = a * x + b * model_output``, by stepping unit inputs."""
    one, zero = torch.ones_like(a_bar), torch.zeros_like(a_bar)
    a = ddim_step(one, zero, a_bar, a_bar_prev, prediction_type)
    b = ddim_step(zero, one, a_bar, a_bar_prev, prediction_type)
    return a, b


def guided(
    backbone: Backbone,
    sample: Tensor,
    timesteps: Tensor,
    conditioning: Conditioning,
    empty: Conditioning,
    guidance_scale: float,
) -> Tensor:
    """Classifier-free guidance: pred_empty + guidance_scale * (pred - pred_empty).

    Guidance 1 needs no empty prediction; otherwise both are made in one call if the two prompts
    have the same length.
    """
    if guidance_scale == 1:
        return answers.prediction(backbone, sample, timesteps, conditioning)
    if conditioning.prompt_embeds.shape == empty.prompt_embeds.shape:
        both = concatenate(empty, conditioning)
        output = answers.prediction(backbone, sample.repeat(2, 1, 1, 1), timesteps.repeat(2), both)
        without, with_prompt = output.chunk(2)
    else:
        without = answers.prediction(backbone, sample, timesteps, empty)
        with_prompt = answers.prediction(backbone, sample, timesteps, conditioning)
    return without + guidance_scale * (with_prompt - without)


def timestep_pairs(timesteps: list[int]) -> list[tuple[int, int]]:
    """(t, the next lower timestep) of a descending run, the last one paired with CLEAN."""
    return list(zip(timesteps, [*timesteps[1:], CLEAN], strict=True))
