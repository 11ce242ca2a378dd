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
"""A bit for each of 16 x 16 x 16 colours, set for those of the world."""

_SIDE = 24
_STRANGE = 0.03
"""The share of pixels of other colours from which on a picture is of another world: its own
pictures have up to 0.01, of three photographs each had 0.06 to 0.34."""

_LARGE = 4 * 96


def suits(glimpses: Sequence[Glimpse]) -> list[str]:
    """Say so where pictures look like photographs, or are far larger than what is drawn."""
    strange = sum(_is_strange(glimpse.thumbnail) for glimpse in glimpses)
    if strange:
        these = "these" if strange == len(glimpses) else f"{strange} of {len(glimpses)} pictures"
        verb = "look" if strange > 1 or these == "these" else "looks"
        what = "photographs" if verb == "look" else "a photograph"
        return [
            "Diorama draws only small landscapes of its own world, 96 × 96 pixels; "
            f"{these} {verb} like {what}: choose another model."
        ]
    if any(max(glimpse.width, glimpse.height) > _LARGE for glimpse in glimpses):
        return [
            "Diorama draws 96 × 96 pixels, and these pictures are far larger: what changes in them "
            "will be coarse."
        ]
    return []


def colours(picture: Image) -> np.ndarray:
    """The colours of a small copy, numbered 0 to 4095 [576]."""
    small = picture.convert("RGB").resize((_SIDE, _SIDE), 4)  # a box: each pixel is a mean
    red, green, blue = (np.asarray(small).reshape(-1, 3) >> 4).astype(int).T
    return red * 256 + green * 16 + blue


def _is_strange(picture: Image) -> bool:
    return 1 - float(_palette()[colours(picture)].mean()) > _STRANGE


@cache
def _palette() -> np.ndarray:
    return np.unpackbits(np.frombuffer(PALETTE.read_bytes(), np.uint8)).astype(bool)
