"""Pictures for a terminal: how it can show them, and where they come from."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from .blocks import Blocks, suited_blocks

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffinv.difference import Difference

PictureMode = Literal["auto", "terminal", "blocks", "half", "quadrants", "sextants"]
"""``auto`` asks the terminal, ``terminal`` asks it even inside tmux; the others never do, and draw
with the finest blocks that it is known to have, or with those that are named."""

THUMBNAIL_SIDE = 256
"""Pixels a side of what is kept of a picture for the app's panes."""

LARGE_SIDE = 8_192
"""Pixels a side of a picture that is looked at alone."""


def probe(mode: PictureMode, environment: Mapping[str, str] = os.environ) -> type[Any] | None:
    """The widget class of the terminal's own picture protocol, None for blocks.

    Asks the terminal, which is possible only before the app runs.
    """
    if mode not in ("auto", "terminal") or not _is_terminal() or environment.get("TEXTUAL_DRIVER"):
        return None
    if mode == "auto" and (environment.get("TMUX") or environment.get("NO_COLOR")):
        return None
    try:
        from textual_image import renderable
        from textual_image.widget import Image
    except Exception:  # not installed, or a terminal that answers strangely
        return None
    own = renderable.Image in (renderable.TGPImage, renderable.SixelImage)
    return Image if own else None


def blocks_of(mode: PictureMode, environment: Mapping[str, str] = os.environ) -> Blocks:
    """The blocks that were asked for, or that suit the terminal."""
    if mode in ("auto", "terminal", "blocks"):
        return suited_blocks(environment)
    return cast("Blocks", mode)


def _is_terminal() -> bool:
    return bool(sys.__stdout__ and sys.__stdout__.isatty())


def fit(size: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """The cells a picture takes within ``columns`` x ``rows``; a cell is twice as high as wide."""
    width, height = max(1, size[0]), max(1, size[1])
    scale = min(columns / width, rows * 2 / height)
    wide, high = round(width * scale), math.ceil(height * scale / 2 - 0.01)
    return max(1, min(columns, wide)), max(1, min(rows, high))


def open_thumbnail(path: Path, side: int = THUMBNAIL_SIDE) -> Image:
    """A picture file, small. Slow: for threads. Raises DiffinvError as ``open_image`` does."""
    import numpy  # noqa: F401 - which is needed to draw it; here nobody waits for it

    from diffinv.pictures.reading import open_image

    image = open_image(path)
    image.thumbnail((side, side))
    return image


def open_large(path: Path) -> Image:
    """A picture file with all its pixels, unless they are too many to be kept. Slow: for threads.
    Raises DiffinvError as ``open_image`` does."""
    from diffinv.pictures.reading import open_image

    image = open_image(path)
    image.thumbnail((LARGE_SIDE, LARGE_SIDE))
    return image


def cell_pixels() -> tuple[int, int]:
    """How many pixels the terminal has in a cell, where it can draw pictures itself."""
    try:
        from textual_image._terminal import get_cell_size

        width, height = get_cell_size()
    except Exception:  # a terminal that does not say
        return 10, 20
    return width, height


def difference_pictures(difference: Difference) -> dict[str, Image]:
    """The thumbnails of a difference that can be read. Slow: for threads."""
    from diffinv.errors import DiffinvError
    from diffinv.pictures.writing import from_webp

    pictures = {}
    for name, data in difference.thumbnails.items():
        try:
            pictures[name] = from_webp(data)
        except DiffinvError:  # one bad picture hides no others
            continue
    return pictures


def file_pictures(path: Path) -> list[Image]:
    """What there is to see of a picture's or a difference's file: the picture, or before and after.
    Slow: for threads. Raises DiffinvError where the file cannot be read."""
    from diffinv.difference import SUFFIX, load

    if path.suffix != SUFFIX:
        return [open_thumbnail(path)]
    pictures = difference_pictures(load(path))
    return [pictures[name] for name in ("a", "a_prime") if name in pictures]


def preview_picture(data: bytes) -> Image | None:
    """A picture out of a job's preview file, None while it is not whole."""
    from PIL import Image as Images

    try:
        image = Images.open(io.BytesIO(data))
        image.load()
    except Exception:  # decoders raise all kinds of errors
        return None
    return image.convert("RGB")
