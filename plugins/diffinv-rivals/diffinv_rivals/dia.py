"""Diffusion image analogies, DIA (Subrtova et al., SIGGRAPH 2023): A' - A as conditionings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from diffinv.contracts import Conditioning, DiffTokens, Timestep, Trajectory
from diffinv.errors import DiffinvError
from diffinv.method import answers
from diffinv.method.application import denoise
from diffinv.method.editors import seeded_noise
from diffinv.method.sampling import (
    add_noise,
    ddim_step,
    timestep_pairs,
    training_target,
)
from diffinv.pictures.framing import to_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from diffinv.contracts import Bench, Triplet

_CROPS = (0.85, 0.99)
"""The sides of crops, as shares of the picture's."""


@dataclass(frozen=True)
class Dia:
    """Each picture's conditioning is ``words`` learned word embeddings after the start of an empty
    prompt, from zero, over ``iterations`` on a ``batch`` of views or until the error is below
    ``enough``. B's noise is found by L-BFGS through ``steps`` of DDIM. ``strength`` is how much of
    the change is added."""

    bench: Bench
    weights: str | None = None
    words: int = 10
    iterations: int = 10
    batch: int = 8
    lr: float = 0.01
    enough: float = 8e-4
    steps: int = 10
    noise_iterations: int = 10
    noise_lr: float = 0.1
    strength: float = 1.0
    guidance_scale: float = 5.0

    def complete(self, triplet: Triplet, seed: int) -> Image.Image:
        """B'."""
        backbone = self.bench.backbone
        size = answers.seen_size(backbone, triplet.b.size)
        a, a_prime, b = (to_model(x, size) for x in (triplet.a, triplet.a_prime, triplet.b))
        c_a, c_a_prime, c_b = (self.conditioning(x, seed) for x in (a, a_prime, b))
        with torch.no_grad():
            change = c_a_prime.prompt_embeds - c_a.prompt_embeds
            moved = replace(c_b, prompt_embeds=c_b.prompt_embeds + self.strength * change)
            latents = answers.latents(backbone, [b])
        path = Trajectory(self._timesteps, self.noise(latents, c_b, seed)[None])
        with torch.no_grad():
            empty = backbone.encode_prompts([""])
            made = denoise(backbone, path, moved, empty, self.guidance_scale, None)
            return answers.pictures(backbone, made)[0]

    @torch.enable_grad()
    def conditioning(self, image: Image.Image, seed: int) -> Conditioning:
        """What the denoiser draws a picture from, learned from views of it."""
        backbone, generator = self.bench.backbone, torch.Generator().manual_seed(seed)
        latents = answers.latents(backbone, views(image, self.batch, generator))
        kind = backbone.prediction_type
        times = torch.tensor(self._timesteps)
        rows = times[torch.randint(len(times), (self.batch,), generator=generator)]
        rows = rows.to(latents.device)
        empty = backbone.encode_prompts([""])
        if empty.reencode is None:
            raise DiffinvError(
                f"the backbone {backbone.id!r} takes no word embeddings, which 'dia' learns"
            )
        width = empty.prompt_embeds.shape[-1]
        values = torch.zeros(1, self.words, width, device=latents.device, requires_grad=True)
        optimiser = torch.optim.AdamW([values], lr=self.lr)
        for _ in range(self.iterations):
            noise = torch.randn(latents.shape, generator=generator).to(latents.device)
            level = backbone.schedule.at(rows)
            states = empty.extend(DiffTokens(values, "input")).repeat(self.batch)
            predicted = answers.prediction(backbone, add_noise(latents, noise, level), rows, states)
            loss = F.mse_loss(predicted, training_target(latents, noise, level, kind))
            if float(loss.detach()) < self.enough:
                break
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            return empty.extend(DiffTokens(values.detach(), "input"))

    @torch.enable_grad()
    def noise(self, latents: Tensor, source: Conditioning, seed: int) -> Tensor:
        """The noise [1, c, h, w] from which DDIM comes to B's latents, as nearly as L-BFGS gets."""
        first = torch.tensor([self._timesteps[0]], device=latents.device)
        level = self.bench.backbone.schedule.at(first)
        start = add_noise(latents, seeded_noise(latents.shape, seed, latents.device), level)
        found = start.flatten().requires_grad_()  # L-BFGS takes gradients as they lie in memory
        search = torch.optim.LBFGS([found], lr=self.noise_lr, max_iter=self.noise_iterations)

        def error() -> Tensor:
            search.zero_grad()
            loss = F.mse_loss(self._sampled(found.view_as(latents), source), latents)
            loss.backward()
            return loss

        search.step(error)
        return found.detach().view_as(latents)

    def _sampled(self, sample: Tensor, source: Conditioning) -> Tensor:
        """DDIM without guidance, differentiable in the noise it starts from."""
        backbone = self.bench.backbone
        for pair in timestep_pairs(self._timesteps):
            t, t_prev = (torch.tensor([one], device=sample.device) for one in pair)
            now, after = (backbone.schedule.at(one) for one in (t, t_prev))
            output = answers.prediction(backbone, sample, t, source)
            sample = ddim_step(sample, output, now, after, backbone.prediction_type)
        return sample

    @property
    def _timesteps(self) -> Sequence[Timestep]:
        return self.bench.backbone.timesteps(self.steps)


def views(image: Image.Image, count: int, generator: torch.Generator) -> Sequence[Image.Image]:
    """A picture, its mirror image, and random crops of it at its own size."""
    found = [image, ImageOps.mirror(image)]
    while len(found) < count:
        share, across, down = torch.rand(3, generator=generator).tolist()
        scale = _CROPS[0] + share * (_CROPS[1] - _CROPS[0])
        width, height = (round(side * scale) for side in image.size)
        left, top = round(across * (image.width - width)), round(down * (image.height - height))
        box = (left, top, left + width, top + height)
        found.append(image.crop(box).resize(image.size, Image.Resampling.LANCZOS))
    return found[:count]
