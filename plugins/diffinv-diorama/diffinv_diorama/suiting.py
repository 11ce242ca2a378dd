"""Whether pictures are of the world that the model knows. Light: no torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from diffinv.contracts import Glimpse

from .weights import ROOT

if TYPE_CHECKING:
    from PIL.Image import Image

PALETTE = ROOT / "palette.bits"
"""A bit for each of 32 x 32 x 32 colours, set for those of the world."""

_SIDE = 24
_STRANGE = 0.04
"""The share of pixels of other colours from which on a picture is of another world: its own
pictures, also cut and enlarged, have up to 0.02, three photographs had 0.12, 0.21 and 0.36."""

_LARGE = 4 * 96
_WHAT = "Diorama draws only small landscapes of its own world, 96 × 96 pixels; "


def suits(glimpses: Sequence[Glimpse]) -> list[str]:
    """Say so where pictures look like photographs, or are far larger than what is drawn."""
    strange = sum(_is_strange(glimpse.thumbnail) for glimpse in glimpses)
    if strange == len(glimpses) > 0:
        return [f"{_WHAT}these look like photographs: choose another model."]
    if strange:
        some = f"{strange} of {len(glimpses)} pictures"
        return [f"{_WHAT}photographs are among these ({some}): choose another model for them."]
    if any(max(glimpse.width, glimpse.height) > _LARGE for glimpse in glimpses):
        return [f"{_WHAT}these pictures are far larger: for photographs choose another model."]
    return []


def colours(picture: Image) -> np.ndarray:
    """The colours of a small copy, numbered 0 to 32767 [576]."""
    picture = picture.convert("RGB")
    picture.thumbnail((64, 64))
    small = picture.resize((_SIDE, _SIDE), 4)  # a box: each pixel is a mean
    red, green, blue = (np.asarray(small).reshape(-1, 3) >> 3).astype(int).T
    return red * 1024 + green * 32 + blue


def _is_strange(picture: Image) -> bool:
    return 1 - float(_palette()[colours(picture)].mean()) > _STRANGE


@cache
def _palette() -> np.ndarray:
    return np.unpackbits(np.frombuffer(PALETTE.read_bytes(), np.uint8)).astype(bool)
