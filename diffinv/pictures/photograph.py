"""A picture as its owner has it: its own colours, transparency, profile and notes, and its edit."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms

from .blending import Change, blend, mixing_mask
from .colour import own_colours, to_rgb
from .reading import read_with
from .sixteen_bit import read_sixteen

if TYPE_CHECKING:
    from collections.abc import Callable

    from .blending import Bytes
    from .sixteen_bit import Words

_log = logging.getLogger(__name__)

Sharpen: TypeAlias = "Callable[[Bytes, Bytes], Bytes]"
"""Makes a picture [H, W, 3] sharper where a mask [H, W] is not 0."""


@dataclass(frozen=True)
class Photograph:
    """A picture file, upright.

    ``seen`` is RGB in sRGB on white, as models see it. ``own`` has the colours of the file (RGB in
    ``profile``, sRGB if that is None) and is the same object if they are no others; ``alpha`` is
    its transparency. ``exif`` and ``xmp`` are as in the file, ``jpeg`` says how it was compressed.
    ``lossless`` is that of a WebP that lost nothing, ``frames`` how many pictures the file has;
    this is the first. ``deep`` has the file's own colours [H, W, 3] with 16 bits, if it has them.
    """

    seen: Image.Image
    own: Image.Image
    alpha: Image.Image | None = None
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    jpeg: dict[str, Any] = field(default_factory=dict)
    lossless: bool = False
    frames: int = 1
    deep: Words | None = None

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
        return replace(self, seen=seen, own=own, alpha=alpha, deep=None)

    def as_model(self, change: Change) -> Photograph:
        """The model's own picture, at its own size and in sRGB, with what the file says."""
        image = Image.fromarray((change.after * 255).round().astype(np.uint8))
        return replace(self, seen=image, own=image, alpha=None, profile=None, deep=None)

    def edited(
        self, change: Change, allowed: Image.Image | None = None, sharpen: Sharpen | None = None
    ) -> Image.Image:
        """The picture with a change in it, in its own colours and with its own transparency. What
        the change leaves alone, and what ``allowed`` (L, white: may change) does not allow, is as
        it was, bit for bit. ``sharpen`` is given the sRGB result and where it was changed."""
        return self.with_change(change, allowed, sharpen).own_with_alpha

    def with_change(
        self, change: Change, allowed: Image.Image | None = None, sharpen: Sharpen | None = None
    ) -> Photograph:
        """The photograph with a change in it: see :meth:`edited`."""
        before, may = np.asarray(self.seen), None if allowed is None else np.asarray(allowed)
        after = blended = blend(before, change, may)
        if sharpen:
            after = sharpen(after, mixing_mask(change, self.size, may))
        seen = Image.fromarray(after)
        if self.own is not self.seen:
            own = np.asarray(self.own).copy()
            self._add_in_own_colours(own, before, after)
            deep = None if self.deep is None else self.deep.copy()
            if deep is not None:
                self._add_in_own_colours(deep, before, after)
            return replace(self, seen=seen, own=Image.fromarray(own), deep=deep)
        deep = None if self.deep is None else blend(self.deep, change, may)
        if deep is not None and sharpen:
            deep = _added(deep, after, blended)
        return replace(self, seen=seen, own=seen, deep=deep)

    @property
    def own_with_alpha(self) -> Image.Image:
        """The picture in its own colours, with its own transparency."""
        if self.alpha is None:
            return self.own
        image = self.own.copy()
        image.putalpha(self.alpha)
        return image

    def changed_where(self, change: Change, allowed: Image.Image | None = None) -> Image.Image:
        """How much of a change :meth:`edited` adds: grey, white for all of it."""
        may = None if allowed is None else np.asarray(allowed)
        return Image.fromarray(mixing_mask(change, self.size, may))

    def _add_in_own_colours(self, own: Any, before: Bytes, after: Bytes) -> None:
        """Add what differs between two sRGB pictures to the picture's own colours, of 8 or 16
        bits."""
        rows = np.flatnonzero((before != after).any((1, 2)))
        for start in range(0, len(rows), 256):
            some = rows[start : start + 256]
            new, old = (self._from_srgb(pixels[some]) for pixels in (after, before))
            own[some] = _added(own[some], new, old)

    def _from_srgb(self, pixels: Any) -> Any:
        if self.profile is None:
            return pixels
        target = ImageCms.ImageCmsProfile(io.BytesIO(self.profile))
        source = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(Image.fromarray(pixels), source, target)
        return np.asarray(converted)


def _added(own: Any, new: Bytes, old: Bytes) -> Any:
    """Pixels of 8 or 16 bits with the difference between two of 8 bits."""
    scale = int(np.iinfo(own.dtype).max) // 255
    by = (new.astype(np.int32) - old) * scale
    return (own + by).clip(0, 255 * scale).astype(own.dtype)


def read_photograph(path: Path) -> Photograph:
    """A picture file with all that belongs to it. Raises as :func:`open_image` does."""
    photograph, orientation = read_with(path, _with_orientation)
    if orientation is None:
        return photograph
    try:
        deep = read_sixteen(path, orientation)
    except Exception as error:  # damaged where Pillow saw none, or of a kind unknown to libraries
        _log.info("%s is read with 8 bits a channel: %s", path.name, error)
        deep = None
    fits = deep is not None and deep.shape[1::-1] == photograph.size
    return replace(photograph, deep=deep if fits else None)


def _with_orientation(image: Image.Image) -> tuple[Photograph, int | None]:
    """A photograph, and how its file's pixels are turned if they are to be read with 16 bits."""
    converted = image.mode not in ("RGB", "RGBA") and image.info.get("icc_profile")
    return _photograph(image), None if converted else image.info.get("diffinv_sixteen")


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
        lossless=image.info.get("diffinv_lossless", False),
        frames=image.info.get("diffinv_frames", 1),
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
