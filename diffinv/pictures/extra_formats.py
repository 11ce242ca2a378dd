"""Formats that need the libraries of ``diffinv[photo]``: HEIC, JPEG XL, cameras' RAW files."""

from __future__ import annotations

import contextlib
from functools import lru_cache
from pathlib import Path

from PIL import Image

from ..system.streams import swallowed
from .camera_notes import camera_notes

RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srw", ".raf", ".orf", ".rw2", ".pef"),
    *(".3fr", ".iiq", ".x3f", ".rwl", ".erf", ".mrw"),
)

_NAMES = {
    **dict.fromkeys(RAW_SUFFIXES, "a camera's RAW file"),
    **dict.fromkeys((".heic", ".heif"), "a HEIC photograph"),
    ".jxl": "a JPEG XL picture",
}
_FORMATS = {".heic": "HEIF", ".heif": "HEIF", ".jxl": "JXL"}


@lru_cache(maxsize=1)
def register_openers() -> None:
    """Let Pillow open what the installed libraries can read."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    with contextlib.suppress(ImportError):
        import pillow_jxl  # noqa: F401 (it registers itself)


def needs_library(path: Path) -> str | None:
    """What a file is that a library which is not installed would read; None for others."""
    suffix = path.suffix.lower()
    if suffix not in _NAMES:
        return None
    register_openers()
    there = _has_rawpy() if is_raw(path) else _FORMATS[suffix] in Image.OPEN
    return None if there else _NAMES[suffix]


def is_raw(path: Path) -> bool:
    """Whether a file is a camera's RAW, by its name."""
    return path.suffix.lower() in RAW_SUFFIXES


def raw_size(path: Path) -> tuple[int, int]:
    """A RAW file's width and height, upright. Raises ImportError without the library for it, and
    whatever that raises for a file that is none."""
    import rawpy

    with swallowed(), rawpy.imread(str(path)) as raw:
        sizes = raw.sizes
        turned = sizes.flip in (5, 6)
        return (sizes.height, sizes.width) if turned else (sizes.width, sizes.height)


def developed(path: Path) -> Image.Image:
    """A RAW file's picture: upright, in sRGB, with the camera's own white balance, and what the
    camera wrote of it. Raises as :func:`raw_size` does."""
    import rawpy

    with swallowed(), rawpy.imread(str(path)) as raw:
        image = Image.fromarray(raw.postprocess(use_camera_wb=True, output_bps=8))
    with contextlib.suppress(Exception):  # a camera's notes are no reason to refuse a picture
        image.info["exif"] = _notes(path).tobytes()
    return image


def _notes(path: Path) -> Image.Exif:
    """What the camera wrote; RAW files are TIFF files, as most of them are."""
    found = Image.Exif()
    with path.open("rb") as file:
        found.load_from_fp(file)
        return camera_notes(found)


@lru_cache(maxsize=1)
def _has_rawpy() -> bool:
    try:
        import rawpy  # noqa: F401
    except ImportError:
        return False
    return True
