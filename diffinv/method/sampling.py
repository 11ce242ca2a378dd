"""The diffusion arithmetic on a path z_t = a x_0 + s eps: noise, targets, steps, guidance.

A deterministic step is linear in the sample and the model's output,
``x_prev = a * x + b * model_output``, whatever the model predicts; its exact inverse follows.
Everything is written for batches with one timestep per row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..contracts import CLEAN, Backbone, Conditioning, Level, PredictionType, Timestep
from ..contracts.conditioning import concatenate
from . import answers


def rows(t: Timestep, latents: Tensor) -> Tensor:
    """One timestep for every row of a batch, in the schedule's own type."""
    return torch.full((len(latents),), t, device=latents.device)


def add_noise(latents: Tensor, noise: Tensor, level: Level) -> Tensor:
    """z_t = a z + s eps."""
    return level.a * latents + level.s * noise


def training_target(
    latents: Tensor, noise: Tensor, level: Level, prediction_type: PredictionType
) -> Tensor:
    """What the denoiser was trained to predict: eps, v = a eps - s z, the flow eps - z, or z."""
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "v_prediction":
        return level.a * noise - level.s * latents
    return noise - latents if prediction_type == "flow" else latents


def predicted_noise(
    sample: Tensor, model_output: Tensor, level: Level, prediction_type: PredictionType
) -> Tensor:
    """noise_pred from any kind of model output."""
    if prediction_type == "epsilon":
        return model_output
    if prediction_type == "v_prediction":
        return (level.a * model_output + level.s * sample) / level.total
    if prediction_type == "flow":
        return (sample + level.a * model_output) / (level.a + level.s)
    return (sample - level.a * model_output) / level.s


def predicted_original(
    sample: Tensor, model_output: Tensor, level: Level, prediction_type: PredictionType
) -> Tensor:
    """The clean latents that a model output implies."""
    if prediction_type == "epsilon":
        return (sample - level.s * model_output) / level.a
    if prediction_type == "v_prediction":
        return (level.a * sample - level.s * model_output) / level.total
    if prediction_type == "flow":
        return (sample - level.s * model_output) / (level.a + level.s)
    return model_output


def step_variance(level: Level, prev: Level) -> Tensor:
    """The variance of z_prev given z_t and z_0: a DDPM step's sigma^2 (DDIM with eta = 1)."""
    between = level.total - level.a2 / prev.a2 * prev.total
    return prev.s2 / level.s2 * between


def ddim_step(
    sample: Tensor,
    model_output: Tensor,
    level: Level,
    prev: Level,
    prediction_type: PredictionType,
    variance: Tensor | float = 0.0,
) -> Tensor:
    """The mean of x_{t-1}; with ``variance`` sigma^2, the caller adds noise of that variance. On a
    straight path this is Euler's step."""
    original = predicted_original(sample, model_output, level, prediction_type)
    noise_pred = predicted_noise(sample, model_output, level, prediction_type)
    return prev.a * original + (prev.s2 - variance).clamp_min(0).sqrt() * noise_pred


def ddim_coefficients(
    level: Level, prev: Level, prediction_type: PredictionType
) -> tuple[Tensor, Tensor]:
    """(a, b) of ``x_prev = a * x + b * model_output``, by stepping unit inputs."""
    one, zero = torch.ones_like(level.a), torch.zeros_like(level.a)
    a = ddim_step(one, zero, level, prev, prediction_type)
    b = ddim_step(zero, one, level, prev, prediction_type)
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


def timestep_pairs(timesteps: Sequence[Timestep]) -> list[tuple[Timestep, Timestep]]:
    """(t, the next lower timestep) of a descending run, the last one paired with CLEAN."""
    return list(zip(timesteps, [*timesteps[1:], CLEAN], strict=True))
