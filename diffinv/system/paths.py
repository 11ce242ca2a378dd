"""diffinv's own folders. ``DIFFINV_HOME`` puts them all in one place."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from ..errors import UsageError
from .text import text_safe

_LONGEST_SHOWN = 80


def data_folder() -> Path:
    """Where lasting data is kept: ``DIFFINV_HOME``, else the user's data folder."""
    return _home() or platformdirs.user_data_path("diffinv", appauthor=False)


def library_folder() -> Path:
    """Where the library's difference files are. It may not exist yet."""
    return data_folder() / "library"


def cache_folder() -> Path:
    """Where things that can be rebuilt at any time are kept. It may not exist yet."""
    home = _home()
    return home / "cache" if home else platformdirs.user_cache_path("diffinv", appauthor=False)


def _home() -> Path | None:
    value = os.environ.get("DIFFINV_HOME", "").strip()
    return given_path(value).absolute() if value else None


def given_path(text: str) -> Path:
    """A path as a person writes it, with ``~`` for a home folder. It need not exist.

    Raises UsageError for an impossible path.
    """
    shown = text_safe(text[:_LONGEST_SHOWN]) + "…" * (len(text) > _LONGEST_SHOWN)
    try:
        path = Path(text).expanduser()
        path.exists()
    except RuntimeError as error:
        raise UsageError(f"The path {shown!r} names an unknown user; check it.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"The path {shown!r} cannot be accessed ({reason}); check it.") from error
    return path


def is_own(path: Path) -> bool:
    """Whether a path is in one of diffinv's own folders, or is one."""
    return any(path.absolute().is_relative_to(own) for own in (data_folder(), cache_folder()))


def is_users_choice() -> bool:
    """Whether the user said where diffinv's folders are."""
    return _home() is not None
