"""Results that belong elsewhere, at an address such as ``s3://bucket/snowy``.

A result is written to a copy of the folder, as to any other folder, and then sent. What the copy
has and has never been seen there is still to be sent; nothing else ever is, so that what others put
there stays. For their names to be taken, empty files in the copy stand for theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..errors import DiffinvError, UsageError
from ..system.files import atomic_create, make_folder, numbered
from ..system.mirrors import Found, Mirror, mirror_of
from ..system.paths import data_folder
from ..system.text import path_text, plural, text_safe
from .elsewhere import NAME, mirrors_of
from .ledger import Ledger
from .manifest import FILE, parsed
from .requests import ApplyRequest

_SMALL = 2**18
"""A list of results of so many bytes goes with every result; a longer one every few seconds."""

_EVERY = 10.0
"""So many seconds."""

_OURS = ".diffinv"
"""How names begin that are no results."""


def results_at(address: str) -> Results:
    """The folder for results at an address. Raises UsageError if it is none."""
    return Results(mirror_of(address, data_folder() / NAME))


def results_of(request: ApplyRequest) -> Results | None:
    """Where an application's results are sent, None if they stay here. Raises UsageError if they
    are to replace others, as they cannot there."""
    found = [mirror for mirror in mirrors_of(request) if mirror.folder == request.out]
    if found and request.replace:
        raise UsageError(
            "Results at an address replace none: leave out --replace.",
            neutral="Results at an address replace none.",
        )
    return Results(found[0]) if found else None


class Results:
    """The results of an application: what is sent, and what is still to be."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._seen = Ledger(mirror.folder.parent / "there.jsonl")
        self._why = ""  # what is in the way of sending
        self._listed_at = 0.0

    def sync(self) -> None:
        """Have the copy's names be those that are there, and its lists of results say what other
        machines have made. Raises DiffinvError."""
        with self._errors():
            seen = self._seen.names
            there = self.mirror.listed()
            for path in self._files():
                place = self.mirror.place(path)
                if place not in there and (place in seen or _is_empty(path)):
                    path.unlink(missing_ok=True)  # somebody removed it there
                elif place in there and place not in seen and not self._is_there(path, there):
                    self._move_aside(path, set(there))
            for place in there:
                if place.name == FILE:
                    self._merge(place)
                elif not self.mirror.here(place).exists():
                    atomic_create(self.mirror.here(place), b"")
            self._seen.replace(there)

    def is_taken(self, path: Path) -> bool:
        """Whether somebody has given a name to something there since the copy's names were made.
        Nobody knows while nothing can be read."""
        if self._why or path.exists():
            return False
        try:
            with self._errors():
                place = self.mirror.place(path)
                if not self.mirror.exists(place):
                    return False
                atomic_create(path, b"")
                self._seen.add(place)
                return True
        except DiffinvError as error:
            self._why = str(error)
            return False

    def send(self, listed: Path, *files: Path) -> None:
        """Send those of a result's files that have not been there, after the list that names it:
        without its line it would be made again. Once something could not be sent, :meth:`finish`
        tries."""
        if self._why:
            return
        try:
            with self._errors():
                small = listed.stat().st_size < _SMALL
                if small or time.monotonic() - self._listed_at > _EVERY:
                    self.mirror.send(listed)
                    self._listed_at = time.monotonic()
                for path in files:
                    if self.is_unsent(path):
                        self.mirror.send(path)
                        self._seen.add(self.mirror.place(path))
        except DiffinvError as error:
            self._why = str(error)

    def finish(self) -> list[str]:
        """Send what is left, of this run or of earlier ones; a sentence if that cannot be done."""
        try:
            with self._errors():
                self._send_rest()
        except DiffinvError as error:
            left = plural(len(self.unsent()) or 1, "result")
            where = path_text(self.mirror.folder)
            return [f"{error} {left} cannot be sent: see {where}. The same command sends the rest."]
        return []

    def unsent(self) -> list[Path]:
        """The results that are here alone."""
        return sorted(filter(self.is_unsent, self._files()))

    def is_unsent(self, path: Path) -> bool:
        """Whether a result is here alone."""
        return self.mirror.place(path) not in self._seen.names and not _is_empty(path)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What the copy's own disk says, as a sentence."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            copy, address = path_text(self.mirror.folder), text_safe(self.mirror.address)
            raise DiffinvError(f"{copy}, the copy of {address!r}, fails ({reason}).") from error

    def _send_rest(self) -> None:
        there = self.mirror.listed()
        for listed in self.mirror.folder.rglob(FILE):
            found = there.get(self.mirror.place(listed))
            if found is None or found["size"] != listed.stat().st_size:
                self.mirror.send(listed)
        for path in self.unsent():
            if not self._is_there(path, there):
                if self.mirror.place(path) in there:
                    path = self._move_aside(path, set(there))
                self.mirror.send(path)
            self._seen.add(self.mirror.place(path))

    def _is_there(self, path: Path, there: Mapping[PurePosixPath, Found]) -> bool:
        """Whether a file that may have been sent is what is there, or an empty one stands for that.
        To know, it is read: a worker can die between sending a result and saying so."""
        place = self.mirror.place(path)
        if _is_empty(path) or place not in there:
            return _is_empty(path)
        same = there[place]["size"] == path.stat().st_size
        return same and self.mirror.read(place) == path.read_bytes()

    def _files(self) -> list[Path]:
        places = (place for place in self.mirror.places() if not place.name.startswith(_OURS))
        return [self.mirror.here(place) for place in places]

    def _move_aside(self, path: Path, taken: set[PurePosixPath]) -> Path:
        """Another name for a result whose name somebody else has taken there meanwhile."""
        for free in numbered(path):
            if self.mirror.place(free) not in taken and not os.path.lexists(free):
                path.rename(free)
                atomic_create(path, b"")
                self._rename_in_list(path, free)
                return free
        raise AssertionError("numbers have no end")

    def _rename_in_list(self, path: Path, free: Path) -> None:
        """Have a result's line say its new name; masks have none."""
        listed = next((one / FILE for one in path.parents if (one / FILE).is_file()), None)
        if listed is None:
            return
        old, new = (one.relative_to(listed.parent).as_posix() for one in (path, free))
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
        named = [row for row in map(parsed, lines) if row and row.get("output") == old]
        if named:
            self._add(listed, [json.dumps(named[-1] | {"output": new}).encode()])

    def _merge(self, place: PurePosixPath) -> None:
        """Add the lines that a list of results has there and not here. They come last, and so
        count: our own were sent before those of another machine were written."""
        here = self.mirror.here(place)
        ours = set(here.read_bytes().splitlines()) if here.is_file() else set()
        theirs = [line for line in self.mirror.read(place).splitlines() if line not in ours]
        if theirs:
            self._add(here, theirs)

    def _add(self, listed: Path, lines: Sequence[bytes]) -> None:
        """Add lines to a list of results, to which a worker may be adding some, too."""
        make_folder(listed.parent)
        ends = not listed.is_file() or listed.read_bytes()[-1:] in (b"", b"\n")
        with listed.open("ab") as file:
            file.write((b"" if ends else b"\n") + b"".join(line + b"\n" for line in lines))


def _is_empty(path: Path) -> bool:
    """Whether a file stands for one that is there, since no result is empty, or is gone."""
    return not path.exists() or path.stat().st_size == 0
