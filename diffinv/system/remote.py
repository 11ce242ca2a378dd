"""Files elsewhere, by address: ``s3://bucket/a.png`` and whatever else fsspec reaches."""

from __future__ import annotations

from pathlib import Path

from ..errors import DiffinvError
from .files import make_folder
from .paths import cache_folder
from .text import text_safe


def is_address(text: str) -> bool:
    """Whether a text is an address, and no path."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.isalnum()


def local_copy(address: str) -> Path:
    """The file at an address, fetched into the cache if its copy there is not the same.

    Raises DiffinvError, worded to follow what names the address, if it cannot be had.
    """
    import fsspec

    folder = cache_folder() / "fetched"
    make_folder(folder)
    options = {"filecache": {"cache_storage": str(folder), "check_files": True}}
    try:
        return Path(fsspec.open_local(f"filecache::{address}", **options))
    except FileNotFoundError as error:
        raise DiffinvError(f"names {text_safe(address)!r}, which is missing") from error
    except Exception as error:  # each protocol brings its own library with errors of its own
        reason = text_safe(str(error)).rstrip(".") or type(error).__name__
        raise DiffinvError(
            f"names {text_safe(address)!r}, which cannot be read: {reason}"
        ) from error
