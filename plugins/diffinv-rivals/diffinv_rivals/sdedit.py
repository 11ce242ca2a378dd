"""SDEdit (Meng et al., ICLR 2022), led by words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from diffinv.method import answers
from diffinv.method.application import edit_latents
from diffinv.method.editors import SDEdit
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures.framing import to_model

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffinv.contracts import Bench, Triplet


@dataclass(frozen=True)
class SDEditMethod:
    """``strength`` in (0, 1] is how far B is noised before it is denoised with the words of B':
    their caption if it is known, else the instruction."""

    bench: Bench
    weights: str | None = None
    strength: float = 0.7
    guidance_scale: float = 7.5
    steps: int = 50

    @torch.no_grad()
    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B'."""
        backbone = self.bench.backbone
        b = to_model(triplet.b, answers.seen_size(backbone, triplet.b.size))
        words = triplet.captions.get("b_prime") or triplet.instruction
        target = answers.conditioning(backbone, [words])
        empty = answers.conditioning(backbone, [""])
        settings = ApplicationSettings(
            "sdedit", self.steps, self.guidance_scale, mask=False, seed=seed
        )
        latents, editor = answers.latents(backbone, [b]), SDEdit(self.strength)
        edited = edit_latents(backbone, latents, empty, target, editor, settings)
        return answers.pictures(backbone, edited)[0]
