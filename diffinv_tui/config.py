"""What a person chose for the app, kept in ``settings.toml``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import platformdirs

from diffinv.files import atomic_write
from diffinv.text import text_safe

from .pictures import PictureMode

Keys = dict[str, str]


@dataclass(frozen=True)
class Preferences:
    """The app's settings. Empty texts mean: decide for me. ``keys`` maps binding ids to keys."""

    theme: str = "diffinv"
    view: str = "cards"
    sort: str = "newest"
    pictures: PictureMode = "auto"
    backbone: str = ""
    device: str = ""
    keys: Keys = field(default_factory=dict)


def preferences_file() -> Path:
    """``DIFFINV_HOME/settings.toml``, else the file in the user's configuration folder."""
    home = os.environ.get("DIFFINV_HOME", "").strip()
    folder = (
        Path(home).expanduser().absolute()
        if home
        else platformdirs.user_config_path("diffinv", appauthor=False)
    )
    return folder / "settings.toml"


def load_preferences(path: Path) -> tuple[Preferences, str | None]:
    """The preferences in a file, and what is wrong with it; what is wrong is left out."""
    import tomllib

    if not path.exists():
        return Preferences(), None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Preferences(), f"{text_safe(str(path))} cannot be read: {text_safe(str(error))}."
    return _checked(table, path)


def _checked(table: dict[str, Any], path: Path) -> tuple[Preferences, str | None]:
    known = {entry.name for entry in fields(Preferences)}
    good = {key: value for key, value in table.items() if key in known and _fits(key, value)}
    bad = [key for key in table if key in known and key not in good]
    problem = None
    if bad:
        names = ", ".join(text_safe(key) for key in bad)
        problem = f"{text_safe(str(path))}: {names} cannot be used and is left as it was."
    return replace(Preferences(), **good), problem


def _fits(key: str, value: object) -> bool:
    if key == "keys":
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if key == "pictures":
        return value in get_args(PictureMode)
    if key == "view":
        return value in ("cards", "table")
    if key == "sort":
        return value in ("newest", "oldest", "name", "backbone")
    return isinstance(value, str)


def save_preferences(preferences: Preferences, path: Path) -> None:
    """Write the preferences; comments and unknown entries of the file stay.

    Raises DiffinvError where the file cannot be written.
    """
    import tomlkit

    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = tomlkit.document()
    for key, value in asdict(preferences).items():
        if document.get(key) != value:
            document[key] = value
    atomic_write(path, tomlkit.dumps(document).encode())
