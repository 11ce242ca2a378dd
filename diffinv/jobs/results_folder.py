"""Where results go if nobody says where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 120
"""Bytes of a folder's name; no file system has less than 255."""


def results_folder(pictures: Path, differences: Sequence[tuple[str, float]]) -> Path:
    """A folder beside the pictures, by their name and those of the differences: the same for the
    same strengths, another for others. ``trip-snow_0.8+night_-0.4``: a strength of 1 is not said.
    """
    names = [name if weight == 1 else f"{name}_{weight + 0.0:g}" for name, weight in differences]
    return pictures.parent / _shortened(f"{pictures.stem}-{'+'.join(names) or 'difference'}")


def _shortened(name: str) -> str:
    """A name that is not too long, and still differs from others that begin like it."""
    data = name.encode(errors="surrogateescape")
    if len(data) <= _LONGEST:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: _LONGEST - 9].decode(errors='ignore')}-{digest}"
