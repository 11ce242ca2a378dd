"""InstructPix2Pix (Brooks et al., CVPR 2023): a network that sees B and follows an instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler
from torch import Tensor

from diffinv.contracts import Network
from diffinv.errors import UsageError
from diffinv.method.editors import seeded_noise

from .networks import decoded, network, pixels, seen, text_states

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffinv.contracts import Bench, Triplet

SAMPLERS = {"euler-ancestral": EulerAncestralDiscreteScheduler, "ddim": DDIMScheduler}


def load(bench: Bench, weights: str | None, **settings: Any) -> InstructPix2Pix:
    """The method on the checkpoint named, or on the backbone's companion."""
    kind = "instruct-pix2pix"
    return InstructPix2Pix(network(bench, kind, kind, weights), **settings)


@dataclass(frozen=True)
class InstructPix2Pix:
    """``guidance_scale`` leads to the instruction, ``image_guidance_scale`` to B."""

    network: Network
    steps: int = 100
    guidance_scale: float = 7.5
    image_guidance_scale: float = 1.5
    sampler: str = "euler-ancestral"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise UsageError(
                f"There is no sampler {self.sampler!r} for 'instruct-pix2pix'; choose from "
                f"{', '.join(SAMPLERS)}."
            )

    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B'."""
        found = self.network
        states = text_states(found, [triplet.instruction, "", ""])
        return self.follow(triplet.b, states, seed)

    @torch.no_grad()
    def follow(self, b: Image, states: Tensor, seed: int) -> Image:
        """B edited by hidden states [3, length, width]: the instruction's, and twice nothing's."""
        found = self.network
        image = found.vae.encode(pixels(found, seen(found, b))).latent_dist.mode()
        condition = seen_thrice(image)
        scheduler = SAMPLERS[self.sampler].from_config(found.scheduler.config)
        scheduler.set_timesteps(self.steps, device=image.device)
        generator = torch.Generator().manual_seed(seed)
        sample = seeded_noise(image.shape, seed, image.device) * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(sample, t).expand(3, -1, -1, -1)
            rows = torch.cat([scaled, condition], dim=1)
            predicted = found.unet(rows, t, encoder_hidden_states=states).sample
            output = guided_twice(predicted, self.guidance_scale, self.image_guidance_scale)
            # the generator is the CPU's, so that every device draws the same
            sample = scheduler.step(output, t, sample, generator=generator).prev_sample
        return decoded(found, sample)


def seen_thrice(image: Tensor) -> Tensor:
    """What the denoiser sees of B [1, c, h, w] in the three rows of guidance; in the last,
    nothing."""
    return torch.cat([image, image, torch.zeros_like(image)])


def guided_twice(predicted: Tensor, guidance_scale: float, image_guidance_scale: float) -> Tensor:
    """Predictions [3, c, h, w] for (words, B), (no words, B) and (no words, nothing) combined:
    their Eq 3."""
    words, image, nothing = predicted.chunk(3)
    towards_words = guidance_scale * (words - image)
    return nothing + towards_words + image_guidance_scale * (image - nothing)
