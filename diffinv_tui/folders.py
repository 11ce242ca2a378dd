"""What a folder has for somebody who looks for files of a kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from diffinv.difference import SUFFIX
from diffinv.errors import DiffinvError
from diffinv.pictures.reading import SUFFIXES
from diffinv.system.text import natural_key, path_text, plural

_COUNTED = 20_000
"""Files of a folder that are looked at to count those that are wanted."""


@dataclass(frozen=True)
class Kind:
    """What is looked for: what one of it is called, how its files are known, and whether it is the
    folder itself that is wanted."""

    name: str
    is_wanted: Callable[[str], bool]
    folders: bool = False


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


PICTURES = Kind("picture", _is_picture)
DIFFERENCES = Kind("difference", lambda name: name.endswith(SUFFIX))
FOLDERS = Kind("picture", _is_picture, folders=True)


@dataclass(frozen=True)
class Item:
    """A line of a list: a folder or a file. ``label`` is what it is called there."""

    path: Path
    is_folder: bool
    label: str


def listed(folder: Path, kind: Kind, letters: str = "") -> list[Item]:
    """The folders, then the files of a kind, whose names have these letters in any case, in natural
    order. Hidden ones are among them where the letters begin with a dot. Raises DiffinvError for a
    folder that cannot be looked into."""
    wanted, found = letters.casefold(), []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir()
                if not is_folder and (kind.folders or not kind.is_wanted(entry.name)):
                    continue
                hidden = entry.name.startswith(".") and not wanted.startswith(".")
                if not hidden and wanted in entry.name.casefold():
                    found.append(Item(folder / entry.name, is_folder, entry.name))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(f"{path_text(folder)} cannot be looked into ({reason}).") from error
    return sorted(found, key=lambda item: (not item.is_folder, natural_key(item.label)))


def counted(folder: Path, kind: Kind) -> str:
    """How many files of a kind a folder itself has, in words; nothing where there are none."""
    try:
        count = sum(kind.is_wanted(name) for name in islice(_names(folder), _COUNTED))
    except OSError:
        return ""
    return plural(count, kind.name) if count else ""


def _names(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries)


def nearest(folder: Path) -> Path:
    """A folder, or the nearest one above it that is there."""
    there = (place for place in (folder, *folder.parents) if place.is_dir())
    return next(there, Path.home())
