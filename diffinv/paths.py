"""The folders that belong to diffinv. ``DIFFINV_HOME`` puts them all into one place."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """Where everything lasting is kept: ``DIFFINV_HOME``, else the user's data folder."""
    return _home() or platformdirs.user_data_path("diffinv", appauthor=False)


def library_folder() -> Path:
    """Where the library's difference files are. It may not exist yet."""
    return data_folder() / "library"


def cache_folder() -> Path:
    """What can be made again at any time. It may not exist yet."""
    home = _home()
    return home / "cache" if home else platformdirs.user_cache_path("diffinv", appauthor=False)


def _home() -> Path | None:
    value = os.environ.get("DIFFINV_HOME", "").strip()
    return Path(value).expanduser().absolute() if value else None
