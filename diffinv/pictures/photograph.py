"""A picture as its owner has it: its own colours, transparency, profile and notes, and its edit."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms

from .blending import Change, blend, mixing_mask
from .colour import own_colours, to_rgb
from .reading import read_with

if TYPE_CHECKING:
    from collections.abc import Callable

    from .blending import Bytes


Sharpen: TypeAlias = "Callable[[Bytes, Bytes], Bytes]"
"""Makes a picture [H, W, 3] sharper where a mask [H, W] is not 0."""


@dataclass(frozen=True)
class Photograph:
    """A picture file, upright.

    ``seen`` is RGB in sRGB on white, as models see it. ``own`` has the colours of the file (RGB in
    ``profile``, sRGB if that is None) and is the same object if they are no others; ``alpha`` is
    its transparency. ``exif`` and ``xmp`` are as in the file, ``jpeg`` says how it was compressed.
    """

    seen: Image.Image
    own: Image.Image
    alpha: Image.Image | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    jpeg: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, upright."""
        return self.seen.size

    def resized(self, longer: int) -> Photograph:
        """The same with a longer side of at most so many pixels."""
        if max(self.size) <= longer:
            return self
        scale = longer / max(self.size)
        width, height = (max(1, round(side * scale)) for side in self.size)
        size = width, height
        seen = self.seen.resize(size, Image.Resampling.LANCZOS)
        own = seen if self.own is self.seen else self.own.resize(size, Image.Resampling.LANCZOS)
        alpha = self.alpha and self.alpha.resize(size, Image.Resampling.LANCZOS)
        return replace(self, seen=seen, own=own, alpha=alpha)

    def as_model(self, change: Change) -> Photograph:
        """The model's own picture, at its own size and in sRGB, with what the file says."""
        image = Image.fromarray((change.after * 255).round().astype(np.uint8))
        return replace(self, seen=image, own=image, alpha=None, profile=None)

    def edited(
        self, change: Change, allowed: Image.Image | None = None, sharpen: Sharpen | None = None
    ) -> Image.Image:
        """The picture with a change in it, in its own colours and with its own transparency. What
        the change leaves alone, and what ``allowed`` (L, white: may change) does not allow, is as
        it was, bit for bit. ``sharpen`` is given the sRGB result and where it was changed."""
        before, may = np.asarray(self.seen), None if allowed is None else np.asarray(allowed)
        after = blend(before, change, may)
        if sharpen:
            after = sharpen(after, mixing_mask(change, self.size, may))
        if self.own is not self.seen:
            after = self._in_own_colours(before, after)
        image = Image.fromarray(after)
        if self.alpha is not None:
            image.putalpha(self.alpha)
        return image

    def changed_where(self, change: Change, allowed: Image.Image | None = None) -> Image.Image:
        """How much of a change :meth:`edited` adds: grey, white for all of it."""
        may = None if allowed is None else np.asarray(allowed)
        return Image.fromarray(mixing_mask(change, self.size, may))

    def _in_own_colours(self, before: Any, after: Any) -> Any:
        """What differs between two sRGB pictures, added to the picture's own colours."""
        result = np.asarray(self.own).copy()
        rows = np.flatnonzero((before != after).any((1, 2)))
        for start in range(0, len(rows), 256):
            some = rows[start : start + 256]
            new, old = (
                self._from_srgb(pixels[some]).astype(np.int16) for pixels in (after, before)
            )
            result[some] = (result[some] + new - old).clip(0, 255).astype(np.uint8)
        return result

    def _from_srgb(self, pixels: Any) -> Any:
        if self.profile is None:
            return pixels
        target = ImageCms.ImageCmsProfile(io.BytesIO(self.profile))
        source = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(Image.fromarray(pixels), source, target)
        return np.asarray(converted)


def read_photograph(path: Path) -> Photograph:
    """A picture file with all that belongs to it. Raises as :func:`open_image` does."""
    return read_with(path, _photograph)


def _photograph(image: Image.Image) -> Photograph:
    seen = to_rgb(image)
    own, alpha, profile = own_colours(image)
    return Photograph(
        seen=seen,
        own=seen if own is None else own,
        alpha=alpha,
        profile=profile,
        exif=_exif(image),
        xmp=image.info.get("xmp") or None,
        jpeg=image.info.get("diffinv_jpeg", {}),
    )


def _exif(image: Image.Image) -> bytes | None:
    """The file's EXIF without orientation, since the pixels are upright; None if there is none, or
    none that can be parsed."""
    try:
        exif = image.getexif()
        exif.pop(0x0112, None)
        return exif.tobytes() if len(exif) else None
    except Exception:  # a camera's notes are no reason to refuse a picture
        return None
