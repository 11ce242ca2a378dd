"""The library's folder: one file per difference, found by name."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from ..difference import (
    SUFFIX,
    Difference,
    DifferenceInfo,
    NotSafetensorsError,
    load,
    read_info,
    to_bytes,
)
from ..errors import DiffinvError, UsageError
from ..system.database import UnusableError
from ..system.files import atomic_create, atomic_write, take_back
from ..system.text import path_text, text_safe
from .index import Entry, Index, read_entry
from .names import MAX_NAME, checked_name
from .trash import Locked, Trash, Trashed, TrashId, locked

__all__ = ["Entry", "Library", "Sort", "TrashId", "Trashed"]

Answer = TypeVar("Answer")

_MAX_TAG = 64
_MAX_STEM = 48
"""The most characters of a file name: at most four bytes each, and every file system allows 255."""


Sort = Literal["newest", "oldest", "name", "backbone"]


class Library:
    """The differences in a folder, which is made when the first one is added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index: Index | None = None

    def add(self, difference: Difference, replace: bool = False, free_name: bool = True) -> Entry:
        """Keep a difference under its name; return its entry.

        If the name is taken, ``replace`` replaces that file; else ``free_name`` appends -2, -3 and
        so on to file and name, and without it DiffinvError is raised. Two processes that add the
        same name at once both keep theirs. A name that is too long is cut. Raises DiffinvError if
        the folder cannot be written to.
        """
        if replace:
            name = _title(difference)
            entry, data = self._entry(difference, name, slug(name))
            atomic_write(entry.path, data)
            return entry
        return self.add_all([difference], free_name)[0]

    def add_all(self, differences: Sequence[Difference], free_name: bool = True) -> list[Entry]:
        """:meth:`add` several or, on an error or interruption, none."""
        tried: dict[Path, bytes] = {}
        try:
            return [self._create(difference, free_name, tried) for difference in differences]
        except BaseException:
            for path, data in tried.items():
                take_back(path, data)
            raise

    def _create(self, difference: Difference, free_name: bool, tried: dict[Path, bytes]) -> Entry:
        """Keep a difference in a new file, noted in ``tried`` before it is written."""
        name = _title(difference)
        for number in itertools.count(1) if free_name else (1,):
            suffix = f"-{number}" if number > 1 else ""
            title = name[: MAX_NAME - len(suffix)] + suffix
            entry, data = self._entry(difference, title, slug(name) + suffix)
            if not entry.path.exists():
                tried[entry.path] = data
                if atomic_create(entry.path, data):
                    return entry
                del tried[entry.path]
        raise UsageError(
            f"The library already has {entry.path.stem!r} ({path_text(entry.path)}); "
            "choose another name."
        )

    def _entry(self, difference: Difference, name: str, stem: str) -> tuple[Entry, bytes]:
        info = dataclasses.replace(difference.info, name=name)
        data, info = to_bytes(dataclasses.replace(difference, info=info))
        return Entry(name, self.folder / f"{stem}{SUFFIX}", info), data

    def entries(self) -> list[Entry]:
        """Every file of the library by name, damaged ones too. Raises DiffinvError if the folder
        cannot be listed; one that does not exist yet is empty."""
        return self.search(sort="name")

    def search(
        self, query: str = "", sort: Sort = "newest", limit: int | None = None, offset: int = 0
    ) -> list[Entry]:
        """The entries that a query finds (:func:`.query.parse`); all if it is empty.

        Raises DiffinvError if the folder cannot be listed; one that does not exist is empty.
        """
        return self._ask(lambda index: index.search(query, sort, limit, offset), [])

    def page(
        self, query: str, sort: Sort, limit: int, offset: int = 0, look: bool = True
    ) -> tuple[list[Entry], int]:
        """At most ``limit`` of the entries that a query finds, and how many it finds in all.

        Without ``look``, changes by other programs since the last call go unnoticed, which is fast
        however large the library is.
        """
        nothing: tuple[list[Entry], int] = ([], 0)
        return self._ask(lambda index: index.page(query, sort, limit, offset, look), nothing)

    def notice(self) -> object:
        """Notice what other programs have changed, and return a value that changes with any change.
        Fast; among very many files, one changed in place is noticed only after several calls. None
        if there is no folder yet."""
        return self._ask(lambda index: index.notice(), None)

    def count(self, query: str = "") -> int:
        """How many entries a query finds."""
        return self._ask(lambda index: index.count(query), 0)

    def tags(self) -> list[tuple[str, int]]:
        """Every tag with its number of entries, the most used first."""
        return self._ask(lambda index: index.tags(), [])

    def duplicates(self) -> list[list[Entry]]:
        """Groups of entries with the same tensors."""
        return self._ask(lambda index: index.duplicates(), [])

    def _ask(self, question: Callable[[Index], Answer], nothing: Answer) -> Answer:
        """An answer from the index, if the folder exists."""
        if not self.folder.exists():
            _refuse_broken_link(self.folder)
            return nothing
        try:
            self._index = self._index or Index(self.folder)
            return _answer(self._index, question)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DiffinvError(
                f"The library {path_text(self.folder)} cannot be listed ({reason}); "
                "choose another folder with DIFFINV_HOME."
            ) from error

    def with_hashes(self, hashes: Iterable[str]) -> dict[str, Entry]:
        """An entry for each of these tensor checksums that the library has."""
        return self._ask(lambda index: index.with_hashes(hashes), {})

    def find(self, name_or_path: str | Path) -> Path:
        """The file of a difference, by its name, its file's name, or any path to a ``.safetensors``
        file. Raises UsageError, with the nearest name, if there is none."""
        text = str(name_or_path)
        if _is_difference_file(text) or self._is_own_entry(text):
            return Path(os.path.expanduser(text))
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

    def has(self, text: str, exactly: bool = False) -> bool:
        """Whether :meth:`find` finds anything by this text; ``exactly``: as it is spelt."""
        if _is_difference_file(text):
            return True
        lookups = (_file_is, _name_is) if exactly else (_file_is, _name_is, _slug_is)
        return any(matches(text, entry) for entry in self.entries() for matches in lookups)

    def load(self, name_or_path: str | Path) -> Difference:
        """The difference that :meth:`find` finds, checked. Raises DiffinvError as it does."""
        return self._load(self.find(name_or_path))

    def refuse_taken(self, name: str, but: Path | None = None) -> None:
        """Raise UsageError if an entry other than ``but`` has this name."""
        if any(e.name == name and e.path != but for e in self.entries()):
            raise UsageError(f"The library already has {name!r}; choose another name.")

    def changing(self, make: bool = False) -> Locked:
        """Keep other processes from changing existing files meanwhile. Must not be nested. With
        ``make`` a library that is not there is made; else that raises UsageError."""
        return locked(self.folder, make)

    def rename(self, name: str | Path, new: str) -> Entry:
        """Rename a difference, and its file with it. Raises UsageError if the name is taken."""
        with self.changing():
            old = self._own(self.find(name))
            difference = self._load(old)
            title = checked_name(new)
            info = dataclasses.replace(difference.info, name=title)
            renamed = dataclasses.replace(difference, info=info)
            if old.parent == self.folder and old.stem == slug(title):
                return self._write(renamed, old)
            self.refuse_taken(title, old)
            entry = self.add(renamed, free_name=False)
            old.unlink()
            return entry

    def set_tags(
        self, name: str | Path, add: Iterable[str] = (), remove: Iterable[str] = ()
    ) -> Entry:
        """Add tags to a difference and remove others, ignoring case."""
        gone = {text_safe(tag).casefold() for tag in remove}
        new = [_checked_tag(tag) for tag in add]
        with self.changing():
            path = self._own(self.find(name))
            difference = self._load(path)
            tags: dict[str, str] = {}
            for tag in (*difference.info.tags, *new):
                if tag.casefold() not in gone:
                    tags.setdefault(tag.casefold(), tag)
            info = dataclasses.replace(difference.info, tags=tuple(tags.values()))
            return self._write(dataclasses.replace(difference, info=info), path)

    def trash(self, name: str | Path) -> TrashId:
        """Move a file to the library's trash; :meth:`restore` brings it back."""
        with self.changing():
            path = self._own(self.find(name))
            if path.is_dir():
                raise UsageError(
                    f"{path_text(path)} is a folder and is left as it is; move it elsewhere."
                )
            return self._trash.put(path)

    def restore(self, trash_id: TrashId | None = None) -> Entry:
        """Bring a file back from the trash, by default the last one put there.

        If its name has been taken since, it gets a number, as in :meth:`add`.
        """
        with self.changing():
            item = self._trash.get(trash_id)
            target = self.folder / item.path.name
            if target.exists() and item.error is None:
                entry = self.add(load(item.path))
                self._trash.forget(item)
                return entry
            target = self._trash.take(item, target)
            return read_entry(target)

    def trashed(self) -> list[Trashed]:
        """What is in the trash, the latest first."""
        return self._trash.items()

    def verify(self) -> list[tuple[str, str]]:
        """(name, problem) for every damaged file. Reads all files in full."""
        problems = []
        for entry in self.entries():
            try:
                self._load(entry.path)
            except DiffinvError as error:
                problems.append((entry.name, str(error)))
        return problems

    def export(self, name: str | Path, path: Path, replace: bool = False) -> Path:
        """Copy a difference's file to a path or into a folder; return where it is now."""
        source = self.find(name)
        self._load(source)
        target = path / source.name if path.is_dir() else path
        if target.suffix != SUFFIX:
            target = target.with_name(target.name + SUFFIX)
        data = source.read_bytes()
        if replace:
            atomic_write(target, data)
        elif not atomic_create(target, data):
            raise UsageError(
                f"{path_text(target)} exists already; choose another path or replace it."
            )
        return target

    def info(self, path: Path) -> DifferenceInfo:
        """What a file found by :meth:`find` says about its difference."""
        return self._read(read_info, path)

    def _load(self, path: Path) -> Difference:
        return self._read(load, path)

    def _read(self, read: Callable[[Path], Answer], path: Path) -> Answer:
        """Read a file; errors in the library's own files say what to do with them."""
        try:
            return read(path)
        except NotSafetensorsError as error:
            raise (DiffinvError(error.in_library) if self._has_file(path) else error) from error

    def _is_own_entry(self, text: str) -> bool:
        """Whether a path is listed here: a link that leads nowhere or a pipe is, as damaged."""
        path = Path(os.path.expanduser(text))
        return path.suffix == SUFFIX and self._has_file(path) and os.path.lexists(path)

    def _has_file(self, path: Path) -> bool:
        return path.absolute().parent == self.folder.absolute()

    def _write(self, difference: Difference, path: Path) -> Entry:
        data, info = to_bytes(difference)
        atomic_write(path, data)
        return Entry(text_safe(info.name), path, info)

    def _own(self, path: Path) -> Path:
        """A path inside this library. Nothing outside it is ever moved or changed."""
        if not self._has_file(path):
            raise UsageError(
                f"{path_text(path)} is not in the library and is left as it is; "
                "'diffinv library import' makes a copy there."
            )
        return path

    @property
    def _trash(self) -> Trash:
        return Trash(self.folder)

    def _in_trash(self, text: str) -> Trashed | None:
        """What is in the trash under this name, or from a file with this name."""
        with contextlib.suppress(OSError):
            for item in self.trashed():
                if text in (item.name, item.path.name, item.path.stem):
                    return item
        return None

    def _missing(self, text: str, entries: list[Entry]) -> str:
        shown, path = text_safe(text), Path(text)
        is_own = path.suffix == SUFFIX and self._has_file(path)
        if item := self._in_trash(path.name if is_own else text):
            return (
                f"The difference {item.name!r} is in the trash; 'diffinv library restore {item.id}'"
                " brings it back."
            )
        if is_own:
            return (
                f"The difference {text_safe(path.stem)!r} is no longer in the library; it "
                "was renamed or removed; choose again from 'diffinv library list'."
            )
        if path.suffix == SUFFIX:
            return f"{shown} does not exist; check the path."
        if not entries:
            return (
                f"There is no difference {shown!r}: the library {path_text(self.folder)} "
                "is empty; learn one with 'diffinv invert'."
            )
        names = {n.casefold(): n for e in entries for n in (text_safe(e.path.stem), e.name)}
        near = difflib.get_close_matches(shown.casefold(), names, n=1)
        hint = f"did you mean {names[near[0]]!r}?" if near else "see 'diffinv library list'."
        return f"There is no difference {shown!r} in the library; {hint}"


def _refuse_broken_link(folder: Path) -> None:
    """A missing folder counts as empty, unless a link leads to it: then it must have existed."""
    for place in (folder, *folder.parents):
        if place.is_symlink() and not place.exists():
            raise DiffinvError(
                f"The library {path_text(folder)} is not there: {path_text(place)} leads to "
                f"{text_safe(os.readlink(place))!r}; mount its drive, or make that folder."
            )


def _answer(index: Index, question: Callable[[Index], Answer]) -> Answer:
    """An answer from the index, which is rebuilt if damaged, and elsewhere if not writable."""
    while True:
        try:
            return question(index)
        except UnusableError:
            if not index.fall_back():
                raise
        except DiffinvError:
            return question(index)


def _title(difference: Difference) -> str:
    name = text_safe(difference.info.name)[:MAX_NAME]
    if not name:
        raise UsageError("A difference needs a name that can be read; give it one.")
    return name


def _checked_tag(tag: str) -> str:
    shown = text_safe(tag)
    if not shown or len(shown) > _MAX_TAG or "," in shown:
        raise UsageError(
            f"The tag {shown[:_MAX_TAG]!r} is invalid: write 1 to {_MAX_TAG} characters, no comma."
        )
    return shown


def _is_difference_file(text: str) -> bool:
    path = Path(os.path.expanduser(text))
    return path.suffix == SUFFIX and os.path.isfile(path)


def _file_is(text: str, entry: Entry) -> bool:
    return text in (entry.path.stem, entry.path.name)


def _name_is(text: str, entry: Entry) -> bool:
    return text_safe(text) == entry.name


def _slug_is(text: str, entry: Entry) -> bool:
    return slug(text) in (entry.path.stem, slug(entry.name))


def slug(name: str) -> str:
    """A file name without its suffix: letters and digits of any script, joined by hyphens."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    words = re.sub(r"[^\w]+|_+", "-", plain)[:_MAX_STEM].strip("-")
    return words or "difference"
