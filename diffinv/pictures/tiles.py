"""Tiles that cover what changed in a large picture, and how they are laid over each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float32]"
Bytes: TypeAlias = "NDArray[np.uint8]"

_OVERLAP = 0.25
"""The share of a tile's side that it has in common with its neighbour."""


def tiles(mask: Bytes, size: tuple[int, int]) -> Iterator[tuple[slice, slice, Floats]]:
    """Tiles of a size (width, height) over all that is not zero in ``mask`` [H, W], row by row.

    Each is (rows, columns, weight): ``weight`` [height, width] in [0, 1] is how much of it is laid
    over what is there, with soft edges where tiles before it are.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return
    tops = _starts(int(rows[0]), int(rows[-1]) + 1, size[1], mask.shape[0])
    lefts = _starts(int(columns[0]), int(columns[-1]) + 1, size[0], mask.shape[1])
    for (top, above), (left, beside) in itertools.product(tops, lefts):
        down, across = slice(top, top + size[1]), slice(left, left + size[0])
        if mask[down, across].any():
            seen = mask[down, across].astype(np.float32) / 255
            weight = _ramp(above, size[1])[:, None] * _ramp(beside, size[0]) * seen
            yield down, across, weight.astype(np.float32)


def _starts(first: int, end: int, side: int, whole: int) -> list[tuple[int, int]]:
    """Where tiles begin that cover [first, end) within [0, whole), as evenly as can be, and how
    much of each lies over the one before."""
    length = end - first
    step = side * (1 - _OVERLAP)
    count = max(1, int(np.ceil((length - side) / step)) + 1)
    room = max(0, whole - side)
    if count == 1:
        return [(min(room, max(0, first - (side - length) // 2)), 0)]
    starts = [round(first + (length - side) * i / (count - 1)) for i in range(count)]
    overlaps = [0, *(a + side - b for a, b in itertools.pairwise(starts))]
    return list(zip(starts, overlaps, strict=True))


def _ramp(overlap: int, side: int) -> Floats:
    """From 0 to 1 over the overlap, then 1."""
    line = np.ones(side, np.float32)
    if overlap:
        line[:overlap] = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap
    return line
