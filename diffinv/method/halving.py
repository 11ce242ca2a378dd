"""A backbone that processes its batches in two halves, for when memory runs out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..contracts import Backbone, Conditioning


def halved(backbone: Backbone) -> Backbone:
    """The same backbone with half a batch in memory at a time, for one more forward pass a step.

    Each half's gradient is recomputed from its inputs, so that the activations of the two halves
    are never in memory together. Results differ from the whole batch's only by rounding.
    """
    return cast(Backbone, _Halved(backbone))


class _Halved:
    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backbone, name)

    def encode_images(self, images: Tensor) -> Tensor:
        return torch.cat([self._backbone.encode_images(images[rows]) for rows in _halves(images)])

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        predictions = [
            checkpoint(
                self._backbone.predict,
                noisy[rows],
                timesteps[rows],
                _rows_of(conditioning, rows),
                use_reentrant=False,
            )
            for rows in _halves(noisy)
        ]
        return torch.cat(predictions)


def _halves(batch: Tensor) -> list[slice]:
    middle = (len(batch) + 1) // 2
    return [rows for rows in (slice(0, middle), slice(middle, None)) if len(batch[rows])]


def _rows_of(conditioning: Conditioning, rows: slice) -> Conditioning:
    extra = {key: value[rows] for key, value in conditioning.extra.items()}
    return replace(conditioning, prompt_embeds=conditioning.prompt_embeds[rows], extra=extra)
