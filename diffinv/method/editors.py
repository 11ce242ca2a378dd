"""Editors, which find B's noise: exact DDIM inversion, SDEdit, edit-friendly DDPM inversion.

Each gives a :class:`Trajectory`: B's own noisy latents at every timestep of a sampling run.
Denoising along it with B's own prompt gives B back; with {prompt_B, D} it gives B'.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..contracts import Backbone, Conditioning, PredictionType, Timestep, Trajectory
from . import answers
from .sampling import (
    add_noise,
    ddim_coefficients,
    ddim_step,
    guided,
    predicted_noise,
    rows,
    step_variance,
    timestep_pairs,
)


def seeded_noise(shape: torch.Size, seed: int, device: torch.device) -> Tensor:
    """Gaussian noise from the CPU generator: the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device)


def noise_like_each(latents: Tensor, seed: int) -> Tensor:
    """The same noise for every row, so that a picture's result does not depend on its batch."""
    return seeded_noise(latents[:1].shape, seed, latents.device).expand_as(latents)


class Ddim:
    """DDIM inversion at guidance 1, the exact inverse of each step by fixed-point iteration.

    ``x_t = (x_prev - b * model(x_t, t)) / a`` is iterated from ``x_prev``. Epsilon converges at
    about half the rate of v: over 50 steps a random denoiser needs 8 passes a step to come back
    within 1e-3, where v needs 3. On the embedded model, v, the result returns to B within 1 % of
    its latents over 20 steps and .4 % over 50; on its twin, flow, within .4 % and .02 %
    (``benchmarks/flow_twin.py``).
    """

    iterations: Mapping[PredictionType, int] = {
        "epsilon": 8,
        "v_prediction": 4,
        "flow": 4,
        "sample": 8,
    }
    """Passes through the denoiser per step of the inversion: its whole cost."""

    @torch.no_grad()
    def trajectory(
        self,
        backbone: Backbone,
        latents: Tensor,
        source: Conditioning,
        empty: Conditioning,
        steps: int,
        guidance_scale: float,
        seed: int,
    ) -> Trajectory:
        """B's latents by inverting the sampler; ``empty``, guidance and seed are not used."""
        timesteps = backbone.timesteps(steps)
        samples = [latents]
        for t, t_prev in reversed(timestep_pairs(timesteps)):
            samples.append(self._invert_step(backbone, samples[-1], t, t_prev, source))
        return Trajectory(timesteps, torch.stack(samples[::-1]))

    def _invert_step(
        self,
        backbone: Backbone,
        x_prev: Tensor,
        t: Timestep,
        t_prev: Timestep,
        source: Conditioning,
    ) -> Tensor:
        times, kind = rows(t, x_prev), backbone.prediction_type
        level = backbone.schedule.at(times)
        prev = backbone.schedule.at(rows(t_prev, x_prev))
        # The last step forgets x_t if the model predicts x_0 itself; its noise does not.
        solved: PredictionType = "epsilon" if kind == "sample" else kind
        a, b = ddim_coefficients(level, prev, solved)
        x = x_prev
        for _ in range(self.iterations[kind]):
            output = answers.prediction(backbone, x, times, source)
            if solved != kind:
                output = predicted_noise(x, output, level, kind)
            x = (x_prev - b * output) / a
        return x


class SDEdit:
    """Partial noise: B is noised part of the way and denoised from there.

    The share is rounded down to whole steps, as image-to-image pipelines do.
    """

    def __init__(self, share: float = 0.7) -> None:
        self.share = share

    def trajectory(
        self,
        backbone: Backbone,
        latents: Tensor,
        source: Conditioning,
        empty: Conditioning,
        steps: int,
        guidance_scale: float,
        seed: int,
    ) -> Trajectory:
        """B under one fixed noise, without calling the denoiser."""
        every = backbone.timesteps(steps)
        timesteps = every[len(every) - max(1, int(len(every) * self.share)) :]
        noise = noise_like_each(latents, seed)
        noisy = [
            add_noise(latents, noise, backbone.schedule.at(rows(t, latents))) for t in timesteps
        ]
        return Trajectory(timesteps, torch.stack([*noisy, latents]))


class EditFriendly:
    """Edit-friendly DDPM inversion: independent noise at every timestep, and the corrections that
    take each noisy latent to the next. The corrections carry B's structure into the edit.
    """

    @torch.no_grad()
    def trajectory(
        self,
        backbone: Backbone,
        latents: Tensor,
        source: Conditioning,
        empty: Conditioning,
        steps: int,
        guidance_scale: float,
        seed: int,
    ) -> Trajectory:
        """All timesteps are independent of each other, and so are the pictures of a batch."""
        timesteps = backbone.timesteps(steps)
        pairs = timestep_pairs(timesteps)
        noisy = [
            add_noise(
                latents,
                noise_like_each(latents, seed * 1000 + i),
                backbone.schedule.at(rows(t, latents)),
            )
            for i, t in enumerate(timesteps)
        ]
        samples = torch.stack([*noisy, latents])
        corrections = []
        for i, (t, t_prev) in enumerate(pairs):
            mean = ddpm_mean(backbone, samples[i], t, t_prev, source, empty, guidance_scale)
            corrections.append(samples[i + 1] - mean)
        return Trajectory(timesteps, samples, torch.stack(corrections))


def ddpm_mean(
    backbone: Backbone,
    sample: Tensor,
    t: Timestep,
    t_prev: Timestep,
    conditioning: Conditioning,
    empty: Conditioning,
    guidance_scale: float,
    eta: float = 1.0,
) -> Tensor:
    """The mean of x_{t-1} under guidance; ``eta`` 1 is DDPM, 0 is DDIM."""
    times = rows(t, sample)
    level = backbone.schedule.at(times)
    prev = backbone.schedule.at(rows(t_prev, sample))
    output = guided(backbone, sample, times, conditioning, empty, guidance_scale)
    variance = eta**2 * step_variance(level, prev)
    return ddim_step(sample, output, level, prev, backbone.prediction_type, variance)
