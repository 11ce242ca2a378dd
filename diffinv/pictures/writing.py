"""Pictures as files and thumbnails."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from ..errors import DiffinvError
from ..system.files import atomic_write


def to_webp(image: Image.Image, side: int = 256) -> bytes:
    """A WebP thumbnail, at most ``side`` pixels per side, never enlarged."""
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=90, method=4)
    return stream.getvalue()


def from_webp(data: bytes) -> Image.Image:
    """A thumbnail as an RGB picture. Raises DiffinvError for anything but a small WebP."""
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if max(image.size) > 2048:
                raise ValueError("too large for a thumbnail")
            return image.convert("RGB")
    except Exception as error:  # the bytes may come from anywhere
        raise DiffinvError(
            "A thumbnail is damaged; learn the difference again to renew it."
        ) from error


def to_png(image: Image.Image) -> bytes:
    """A picture as the contents of a PNG file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises DiffinvError if it cannot be written."""
    atomic_write(path, to_png(image))
