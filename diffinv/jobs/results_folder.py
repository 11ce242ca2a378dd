"""The default folder for results."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

_LONGEST = 120
"""The most bytes of a folder's name; every file system allows at least 255."""


def results_folder(pictures: Path, differences: Sequence[tuple[str, float]]) -> Path:
    """A folder beside the pictures, named after them and the differences with their strengths, such
    as ``trip-snow_0.8+night_-0.4``. A strength of 1 is left out."""
    names = [name if weight == 1 else f"{name}_{weight + 0.0:g}" for name, weight in differences]
    return pictures.parent / _shortened(f"{pictures.stem}-{'+'.join(names) or 'difference'}")


def _shortened(name: str) -> str:
    """The name, if too long cut in a way that still tells it from others with the same start."""
    data = name.encode(errors="surrogateescape")
    if len(data) <= _LONGEST:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: _LONGEST - 9].decode(errors='ignore')}-{digest}"
