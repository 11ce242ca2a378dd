"""The library's folder: one file a difference, found by name."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..difference import SUFFIX, Difference, DifferenceInfo, load, read_info, to_bytes
from ..errors import DiffinvError, UsageError
from ..files import atomic_create, atomic_write
from ..text import natural_key, text_safe

_MAX_STEM = 48
"""Characters of a file name: four bytes each at most, and no file system has less than 255."""


@dataclass(frozen=True)
class Entry:
    """A file of the library: its difference's info, or the error that reading it gave.

    ``name`` is safe to print; a damaged file goes by its file name.
    """

    name: str
    path: Path
    info: DifferenceInfo | None = None
    error: str | None = None


TrashId = str
Sort = Literal["newest", "oldest", "name", "backbone"]


@dataclass(frozen=True)
class Trashed:
    """A file in the library's trash. ``deleted`` is in unix seconds."""

    id: TrashId
    name: str
    path: Path
    deleted: float


class Library:
    """The differences in a folder, which is made when the first one is added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, difference: Difference, replace: bool = False, free_name: bool = True) -> Entry:
        """Keep a difference under its name, and say where.

        Where the name is taken, ``replace`` replaces that file; else ``free_name`` appends -2, -3
        and so on to file and name, and without it DiffinvError is raised. Two processes that add
        one name at once both keep theirs. Raises DiffinvError where the folder cannot be written.
        """
        name = text_safe(difference.info.name)
        if not name:
            raise UsageError("A difference needs a name that can be read; give it one.")
        stem = _slug(name)
        if replace:
            entry, data = self._entry(difference, name, stem)
            atomic_write(entry.path, data)
            return entry
        for number in itertools.count(1):
            suffix = f"-{number}" if number > 1 else ""
            entry, data = self._entry(difference, name + suffix, stem + suffix)
            if not entry.path.exists() and atomic_create(entry.path, data):
                return entry
            if not free_name:
                break
        raise UsageError(
            f"The library already has {entry.path.stem!r} ({text_safe(str(entry.path))}); "
            "choose another name or replace it."
        )

    def _entry(self, difference: Difference, name: str, stem: str) -> tuple[Entry, bytes]:
        info = dataclasses.replace(difference.info, name=name)
        data, info = to_bytes(dataclasses.replace(difference, info=info))
        return Entry(name, self.folder / f"{stem}{SUFFIX}", info), data

    def entries(self) -> list[Entry]:
        """Every file of the library by name, damaged ones too. Raises DiffinvError where the
        folder cannot be listed; one that does not exist yet is empty."""
        try:
            files = list(self.folder.iterdir()) if self.folder.exists() else []
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DiffinvError(
                f"The library {text_safe(str(self.folder))} cannot be listed ({reason}); "
                "choose another folder with DIFFINV_HOME."
            ) from error
        names = (f for f in files if f.suffix == SUFFIX and not f.name.startswith("."))
        found = [_read_entry(file) for file in names]
        return sorted(found, key=lambda entry: (natural_key(entry.name), entry.path.name))

    def find(self, name_or_path: str | Path) -> Path:
        """The file of a difference: by its name, by its file's name, or by any path to a
        ``.safetensors`` file. Raises UsageError, with the nearest name, where there is none."""
        text = str(name_or_path)
        path = Path(os.path.expanduser(text))
        if path.suffix == SUFFIX and os.path.isfile(path):
            return path
        entries = self.entries()
        for matches in (_file_is, _name_is, _slug_is):
            found = [e.path for e in entries if matches(text, e)]
            if len(found) == 1:
                return found[0]
            if found:
                files = ", ".join(text_safe(p.stem) for p in found)
                raise UsageError(
                    f"{text_safe(text)!r} is the name of several differences; "
                    f"choose one by its file: {files}."
                )
        raise UsageError(self._missing(text, entries))

    def load(self, name_or_path: str | Path) -> Difference:
        """The difference that :meth:`find` finds, checked. Raises DiffinvError as it does."""
        return load(self.find(name_or_path))

    def search(
        self, query: str = "", sort: Sort = "newest", limit: int | None = None, offset: int = 0
    ) -> list[Entry]:
        """The entries that a query finds; all of them where it is empty."""
        raise NotImplementedError

    def count(self, query: str = "") -> int:
        """How many entries a query finds."""
        raise NotImplementedError

    def tags(self) -> list[tuple[str, int]]:
        """Every tag with the number of its entries, the most used first."""
        raise NotImplementedError

    def rename(self, name: str | Path, new: str) -> Entry:
        """Give a difference another name, and its file too."""
        raise NotImplementedError

    def set_tags(
        self, name: str | Path, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Entry:
        """Add tags to a difference and remove others."""
        raise NotImplementedError

    def trash(self, name: str | Path) -> TrashId:
        """Move a file to the library's trash; :meth:`restore` brings it back."""
        raise NotImplementedError

    def restore(self, trash_id: TrashId | None = None) -> Entry:
        """Bring a file back from the trash, by default the one that went there last."""
        raise NotImplementedError

    def trashed(self) -> list[Trashed]:
        """What is in the trash, the latest first."""
        raise NotImplementedError

    def duplicates(self) -> list[list[Entry]]:
        """Groups of entries with the same tensors."""
        raise NotImplementedError

    def verify(self) -> list[tuple[str, str]]:
        """(name, problem) of every file that is not whole. Reads them all."""
        raise NotImplementedError

    def import_file(self, path: Path, name: str | None = None) -> Entry:
        """Check a difference's file and copy it into the library."""
        raise NotImplementedError

    def export(self, name: str | Path, path: Path, replace: bool = False) -> Path:
        """Copy a difference's file to a path, or into a folder; where it is now."""
        raise NotImplementedError

    def _missing(self, text: str, entries: list[Entry]) -> str:
        shown = text_safe(text)
        if Path(text).suffix == SUFFIX:
            return f"{shown} does not exist; check the path."
        if not entries:
            return (
                f"There is no difference {shown!r}: the library {text_safe(str(self.folder))} "
                "is empty; learn one with `diffinv invert`."
            )
        names = {n.casefold(): n for e in entries for n in (text_safe(e.path.stem), e.name)}
        near = difflib.get_close_matches(shown.casefold(), names, n=1)
        hint = f"did you mean {names[near[0]]!r}?" if near else "see `diffinv library list`."
        return f"There is no difference {shown!r} in the library; {hint}"


def _read_entry(path: Path) -> Entry:
    try:
        info = read_info(path)
    except DiffinvError as error:
        return Entry(text_safe(path.stem), path, error=str(error))
    return Entry(text_safe(info.name) or text_safe(path.stem), path, info)


def _file_is(text: str, entry: Entry) -> bool:
    return text in (entry.path.stem, entry.path.name)


def _name_is(text: str, entry: Entry) -> bool:
    return text_safe(text) == entry.name


def _slug_is(text: str, entry: Entry) -> bool:
    return _slug(text) in (entry.path.stem, _slug(entry.name))


def _slug(name: str) -> str:
    """A file name without its suffix: letters and digits of any script, joined by hyphens."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    words = re.sub(r"[^\w]+|_+", "-", plain)[:_MAX_STEM].strip("-")
    return words or "difference"
