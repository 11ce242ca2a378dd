"""The oracle: an independent network that reads the attributes of a picture.

It only judges and takes no part in the method. It is trained separately from the text-to-image
model (see ``training/train_oracle.py``); its own accuracy is in the model card.
"""

from __future__ import annotations

from functools import cache

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .weights import oracle_file
from .world import ATTRIBUTES, Scene

WIDTHS = (24, 48, 96, 128)


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
    )


class Reader(nn.Module):
    """[n, 3, h, w] in [-1, 1] to the logits of all attributes' values, side by side [n, 25]."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, *WIDTHS)
        self.stages = nn.Sequential(*(_stage(a, b) for a, b in zip(sizes, sizes[1:], strict=False)))
        self.head = nn.Linear(2 * WIDTHS[-1], sum(len(v) for v in ATTRIBUTES.values()))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        features = self.stages(images)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        return self.head(pooled)


@cache
def _reader() -> Reader:
    reader = Reader()
    reader.load_state_dict({k: v.float() for k, v in load_file(oracle_file()).items()})
    return reader.eval().requires_grad_(False)


def scenes_from_logits(logits: Tensor) -> list[Scene]:
    """The most likely scene of each row of attribute logits [n, 25]."""
    parts = logits.split([len(values) for values in ATTRIBUTES.values()], dim=1)
    labels = torch.stack([part.argmax(1) for part in parts], dim=1)
    return [Scene.from_labels(row) for row in labels.tolist()]


@torch.no_grad()
def read_scenes(images: Tensor) -> list[Scene]:
    """What each picture shows. ``images``: [n, 3, 96, 96] in [-1, 1], float32."""
    return scenes_from_logits(_reader()(images.float()))
