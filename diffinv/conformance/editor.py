"""What an editor promises: see :class:`diffinv.contracts.Editor`.

It is tried on a backbone made of a few lines of arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ..contracts import (
    Backbone,
    Conditioning,
    Editor,
    PredictionType,
    Trajectory,
    VariancePreserving,
)
from .kit import Check, require
from .tensors import check_same, check_tensor, noise

_STEPS = 6


class _Arithmetic:
    """Just enough of a backbone to sample with."""

    id = weights_id = "arithmetic"
    device = torch.device("cpu")
    schedule = VariancePreserving(torch.linspace(0.999, 0.01, 50))
    prediction_type: PredictionType = "epsilon"

    def timesteps(self, steps: int) -> list[int]:
        return [int(t) for t in torch.linspace(49, 0, steps)]

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        return Conditioning(torch.stack([torch.full((3, 4), float(len(p))) for p in prompts]))

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        shift = conditioning.prompt_embeds.mean((1, 2))[:, None, None, None]
        return 0.2 * noisy + 0.001 * shift


def the_trajectory_fits(editor: Editor) -> str:
    """A trajectory has its timesteps descending, and latents at each of them and at the end."""
    latents = noise((2, 3, 4, 4))
    path = _trajectory(editor, latents, 0)
    require(isinstance(path, Trajectory), f"it gives a {type(path).__name__}, not a Trajectory")
    times = path.timesteps
    require(len(times) > 0, "it has no timesteps")
    require(list(times) == sorted(set(times), reverse=True), f"{times} does not descend")
    check_tensor(path.samples, "samples", (len(times) + 1, *latents.shape))
    if path.corrections is not None:
        check_tensor(path.corrections, "corrections", (len(times), *latents.shape))
    return f"{len(times)} of {_STEPS} steps"


def it_ends_at_b(editor: Editor) -> None:
    """The last latents of a trajectory are B's own."""
    latents = noise((2, 3, 4, 4))
    path = _trajectory(editor, latents, 0)
    check_same(path.samples[-1], latents, "the last latents are not B's", 1e-5)


def the_seed_decides(editor: Editor) -> None:
    """The same seed gives the same trajectory, whatever else is in the batch."""
    latents = noise((2, 3, 4, 4))
    path = _trajectory(editor, latents, 7)
    check_same(path.samples, _trajectory(editor, latents, 7).samples, "two results for one seed")
    alone = _trajectory(editor, latents[:1], 7).samples
    check_same(path.samples[:, :1], alone, "a picture alone has a different trajectory", 1e-4)


CHECKS: list[Check] = [the_trajectory_fits, it_ends_at_b, the_seed_decides]


def _trajectory(editor: Editor, latents: Tensor, seed: int) -> Trajectory:
    backbone = cast(Backbone, _Arithmetic())
    source = backbone.encode_prompts(["a house"] * len(latents))
    empty = backbone.encode_prompts([""] * len(latents))
    return editor.trajectory(backbone, latents, source, empty, _STEPS, 2.0, seed)
