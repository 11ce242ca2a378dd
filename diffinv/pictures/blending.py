"""Brings what a model changed in a small picture to the full-size picture it was made from.

The change is enlarged with the picture as its guide, and added under a mask: where the mask is
zero, every pixel stays as it is, bit for bit. The work is done in strips, so that memory is bounded
for a picture of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float32]"
Bytes: TypeAlias = "NDArray[np.uint8]"
Pixels = TypeVar("Pixels", "NDArray[np.uint8]", "NDArray[np.uint16]")

_STRIP = 2**21
"""Pixels that are worked on at once."""

_RADIUS, _EPSILON = 2, 1e-3
"""The guided filter's window (2r + 1 pixels of the model's picture) and what counts as flat."""

_SHARE = 0.4
_LEAST, _MOST = 3 / 255, 24 / 255
"""A change counts as none up to this share of the picture's strongest, within these bounds, and as
whole from twice that: what the autoencoder alone does around an edit stays out of the picture."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Change:
    """What a model changed, at its own size: ``before`` and ``after`` [h, w, 3] in [0, 1] are its
    own reconstruction of the picture and the edit; ``mask`` [h', w'] in [0, 1] is where the
    difference acts, None for everywhere."""

    before: Floats
    after: Floats
    mask: Floats | None = None


def blend(picture: Pixels, change: Change, allowed: Bytes | None = None) -> Pixels:
    """The full-size picture [H, W, 3] of 8 or 16 bits with the change in it; ``allowed`` [H, W] is
    255 where it may change, None for everywhere."""
    low = _Low.of(change)
    height, width = picture.shape[:2]
    result = picture.copy()
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = _Part(slice(top, min(height, top + rows)), slice(0, width), (width, height))
        mask = strip.of(low.mask, Image.Resampling.BILINEAR)
        if allowed is not None:
            mask *= allowed[strip.down].astype(np.float32) / 255
        down, across = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if len(down):
            inner = slice(down[0], down[-1] + 1), slice(across[0], across[-1] + 1)
            _add(result, low, strip.inner(*inner), mask[inner])
    return result


def _add(result: Pixels, low: _Low, part: _Part, mask: Floats) -> None:
    """Add the change to a part of the picture."""
    inside: tuple[slice, slice] = (part.down, part.across)
    white = np.iinfo(result.dtype).max
    own = result[inside].astype(np.float32) / white
    luma = own @ _LUMA
    for channel in range(3):
        slope = part.of(low.slope[..., channel], Image.Resampling.BICUBIC)
        rest = part.of(low.rest[..., channel], Image.Resampling.BICUBIC)
        slope *= luma
        slope += rest
        slope *= mask
        slope += own[..., channel]
        new = (slope.clip(0, 1, out=slope) * white + 0.5).astype(result.dtype)
        np.copyto(result[part.down, part.across, channel], new, where=mask > 0)


@dataclass(frozen=True)
class _Part:
    """Some rows and columns of a picture of a size (width, height)."""

    down: slice
    across: slice
    size: tuple[int, int]

    def inner(self, down: slice, across: slice) -> _Part:
        """A part of this part."""
        top, left = self.down.start, self.across.start
        return _Part(
            slice(top + int(down.start), top + int(down.stop)),
            slice(left + int(across.start), left + int(across.stop)),
            self.size,
        )

    def of(self, low: Floats, kind: Image.Resampling) -> Floats:
        """What a small plane [h, w] is there once it is enlarged to the picture's size."""
        across, down = (
            side / whole for side, whole in zip(low.shape[::-1], self.size, strict=True)
        )
        box = (
            self.across.start * across,
            self.down.start * down,
            min(low.shape[1], self.across.stop * across),
            min(low.shape[0], self.down.stop * down),
        )
        size = self.across.stop - self.across.start, self.down.stop - self.down.start
        plane = Image.fromarray(np.ascontiguousarray(low))
        enlarged: Floats = np.array(plane.resize(size, kind, box))
        return enlarged


def mixing_mask(change: Change, size: tuple[int, int], allowed: Bytes | None = None) -> Bytes:
    """How much of the change :func:`blend` adds to a picture of a size (width, height): [H, W],
    255 for all of it, and 0 only where nothing is added."""
    mask = Image.fromarray(_mask(change, change.after - change.before))
    large: Floats = np.array(mask.resize(size, Image.Resampling.BILINEAR), np.float32)
    if allowed is not None:
        large *= allowed.astype(np.float32) / 255
    return np.ceil(large * 255).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Low:
    """A change as a local function of the picture's luma: delta = slope * luma + rest (He and Sun,
    Fast Guided Filter, 2015, with what the guide does not explain kept in ``rest``)."""

    slope: Floats
    rest: Floats
    mask: Floats

    @classmethod
    def of(cls, change: Change) -> _Low:
        delta = change.after - change.before
        guide = change.before @ _LUMA
        mean, mean_delta = _box(guide), _box(delta)
        variance = _box(guide**2) - mean**2
        covariance = _box(guide[..., None] * delta) - mean[..., None] * mean_delta
        slope = _box(covariance / (variance[..., None] + _EPSILON))
        return cls(slope, delta - slope * guide[..., None], _mask(change, delta))


def _mask(change: Change, delta: Floats) -> Floats:
    """Where the difference acts and something changed, soft at the border."""
    size = np.abs(delta).max(-1)
    low = float(np.clip(_SHARE * np.quantile(size, 0.99), _LEAST, _MOST))
    seen = _grown((size / low - 1).clip(0, 1))
    if change.mask is None:
        return seen
    height, width = delta.shape[:2]
    acts = Image.fromarray(change.mask).resize((width, height), Image.Resampling.BILINEAR)
    return seen * (np.asarray(acts) > 0)


def _grown(mask: Floats) -> Floats:
    """The mask with a soft border of one pixel around it."""
    padded = np.pad(mask, 1, mode="edge")
    height, width = mask.shape
    around = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    grown: Floats = np.maximum(mask, _box(np.max(around, axis=0), 1))
    return grown


def _box(values: Floats, radius: int = _RADIUS) -> Floats:
    """The mean of each pixel's window."""
    padding = [(radius, radius)] * 2 + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, padding, mode="edge")
    for axis in (0, 1):
        sums = np.cumsum(padded, axis=axis, dtype=np.float64)
        sums = np.insert(sums, 0, 0, axis=axis)
        size = 2 * radius + 1
        upper = np.take(sums, range(size, sums.shape[axis]), axis=axis)
        lower = np.take(sums, range(sums.shape[axis] - size), axis=axis)
        padded = ((upper - lower) / size).astype(np.float32)
    return padded
