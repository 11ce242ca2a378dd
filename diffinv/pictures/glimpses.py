"""Pictures at a glance, for what a model says of them before it is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..contracts import Glimpse
from ..errors import DiffinvError
from .reading import open_image

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64
"""The most pixels that a thumbnail has on a side."""

MOST = 4
"""How many pictures of a folder are looked at: enough to tell a world, and quick."""


def glimpse(picture: Image) -> Glimpse:
    """A picture at a glance."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    return Glimpse(picture.width, picture.height, small)


def glimpses(paths: Sequence[Path]) -> list[Glimpse]:
    """A few of the pictures, spread over all of them; those that do not open are left out."""
    step = max(1, -(-len(paths) // MOST))
    found = [_glimpse_of(path) for path in paths[::step]]
    return [one for one in found if one is not None]


def _glimpse_of(path: Path) -> Glimpse | None:
    try:
        stat = os.stat(path)
        return _opened(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, DiffinvError):
        return None


@lru_cache(maxsize=64)
def _opened(path: Path, _changed: int, _size: int) -> Glimpse:
    return glimpse(open_image(path))
