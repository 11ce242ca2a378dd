"""What a person chose for the app, kept in ``settings.toml``."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

import platformdirs

from diffinv.errors import DiffinvError
from diffinv.system.files import atomic_create, atomic_write, numbered
from diffinv.system.text import path_text, text_safe

from .pictures import PictureMode
from .words import Vocabulary

Keys = dict[str, str]

_CHOICES = {
    "pictures": get_args(PictureMode),
    "view": ("cards", "table"),
    "sort": ("newest", "oldest", "name", "backbone"),
    "words": get_args(Vocabulary),
}
_ASIDE = "settings-unreadable.toml"


@dataclass(frozen=True)
class Preferences:
    """The app's settings. Empty texts mean: decide for me. ``keys`` maps binding ids to keys,
    ``checkpoints`` are the user's own (:mod:`diffinv_tui.checkpoints`). A ``card_width`` of 0 cells
    means as they fit; ``detail``: the library has its details beside it."""

    theme: str = "diffinv"
    view: str = "cards"
    sort: str = "newest"
    pictures: PictureMode = "auto"
    card_width: int = 0
    detail: bool = True
    backbone: str = ""
    device: str = ""
    words: Vocabulary = "plain"
    checkpoints: tuple[str, ...] = ()
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
    except (OSError, ValueError, RecursionError) as error:
        return Preferences(), (
            f"{path_text(path)} cannot be read: {text_safe(str(error))}. Mend it and start "
            f"again; if a setting is changed here before, it is kept as {_ASIDE}."
        )
    return _checked(table, path)


def _checked(table: dict[str, Any], path: Path) -> tuple[Preferences, str | None]:
    known = {entry.name for entry in fields(Preferences)}
    good = {key: value for key, value in table.items() if key in known and _fits(key, value)}
    bad = [key for key in table if key in known and key not in good]
    good["checkpoints"] = tuple(good.get("checkpoints", ()))
    if isinstance(table.get("keys"), dict):
        keys = _flat(table["keys"])
        good["keys"] = {id: key for id, key in keys.items() if isinstance(key, str)}
        bad = [key for key in bad if key != "keys"]
        bad += [id for id, key in keys.items() if not isinstance(key, str)]
    problem = None
    if bad:
        names = ", ".join(text_safe(key) for key in bad)
        problem = f"{path_text(path)}: {names} cannot be used and is left as it was."
    return replace(Preferences(), **good), problem


def _fits(key: str, value: object) -> bool:
    if key in _CHOICES:
        return value in _CHOICES[key]
    if key == "card_width":
        return type(value) is int and 0 <= value <= 1_000
    if key == "detail":
        return isinstance(value, bool)
    if key == "checkpoints":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, str) and key != "keys"


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys by their ids, ``library.new`` with and without quotes."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def save_preferences(preferences: Preferences, path: Path) -> None:
    """Write the preferences; comments and unknown entries of the file stay.

    A file that is no TOML is kept beside it. Raises DiffinvError where the file cannot be read or
    written.
    """
    import tomlkit

    document = tomlkit.document()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DiffinvError(
            f"{path_text(path)} cannot be read ({error.strerror}), so nothing is changed in "
            "it; see that you may read it."
        ) from error
    except (ValueError, RecursionError):
        _put_aside(path)
    before = asdict(_checked(document.unwrap(), path)[0])
    for key, value in asdict(preferences).items():
        if value != before[key]:  # what cannot be used stays until another choice is made
            document[key] = list(value) if isinstance(value, tuple) else value
    atomic_write(path, tomlkit.dumps(document).encode())


def _put_aside(path: Path) -> None:
    """A copy of a file that cannot be read, under the first name that is free."""
    data = path.read_bytes()
    next(copy for copy in numbered(path.with_name(_ASIDE)) if atomic_create(copy, data))
