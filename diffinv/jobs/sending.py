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
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..errors import DiffinvError
from ..system.files import atomic_create, atomic_write, make_folder, numbered
from ..system.mirrors import Found, Mirror, mirror_of
from ..system.paths import data_folder
from ..system.text import path_text, plural
from .elsewhere import NAME, mirrors_of
from .manifest import FILE
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
    """Where an application's results are sent, None if they stay here."""
    found = [mirror for mirror in mirrors_of(request) if mirror.folder == request.out]
    return Results(found[0]) if found else None


class Results:
    """The results of an application: what is sent, and what is still to be."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._ledger = mirror.folder.parent / "there.jsonl"
        self._why = ""
        self._listed_at = 0.0

    def sync(self) -> None:
        """Have the copy's names be those that are there, and its lists of results say what other
        machines have made. Raises DiffinvError."""
        seen = self._seen()
        there = self.mirror.listed()
        for place in there:
            if place.name == FILE:
                self._merge(place)
            elif not self.mirror.here(place).exists():
                atomic_create(self.mirror.here(place), b"")
        for path in self._files():
            place = self.mirror.place(path)
            if place not in there and (place in seen or _is_empty(path)):
                path.unlink()  # somebody removed it there
            elif place in there and place not in seen and not self._is_there(path, there):
                self._move_aside(path, set(there))
        lines = "".join(_line(place, True) for place in there)
        atomic_write(self._ledger, lines.encode())

    def expect(self, path: Path) -> None:
        """Say that a result is about to be written, over one that may be there."""
        if self.mirror.place(path) in self._seen():
            self._note(path, False)

    def send(self, listed: Path, *files: Path) -> None:
        """Send a result's files, after the list that names it: without its line it would be made
        again. Once something could not be sent, :meth:`finish` tries."""
        if self._why:
            return
        try:
            small = not listed.is_file() or listed.stat().st_size < _SMALL
            if small or time.monotonic() - self._listed_at > _EVERY:
                self.mirror.send(listed)
                self._listed_at = time.monotonic()
            for path in files:
                self.mirror.send(path)
                self._note(path)
        except DiffinvError as error:
            self._why = str(error)

    def finish(self) -> list[str]:
        """Send what is left, of this run or of earlier ones; a sentence if that cannot be done."""
        try:
            self._send_rest()
        except DiffinvError as error:
            left = plural(len(self.unsent()) or 1, "result")
            where = path_text(self.mirror.folder)
            return [f"{error} {left} cannot be sent: see {where}. The same command sends the rest."]
        return []

    def unsent(self) -> set[Path]:
        """The results that are here alone."""
        seen, files = self._seen(), self._files()
        return {one for one in files if self.mirror.place(one) not in seen and not _is_empty(one)}

    def _send_rest(self) -> None:
        there = self.mirror.listed()
        for listed in self.mirror.folder.rglob(FILE):
            found = there.get(self.mirror.place(listed))
            if found is None or found["size"] != listed.stat().st_size:
                self.mirror.send(listed)
        for path in sorted(self.unsent()):
            if not self._is_there(path, there):
                if self.mirror.place(path) in there:
                    path = self._move_aside(path, set(there))
                self.mirror.send(path)
            self._note(path)

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
                return free
        raise AssertionError("numbers have no end")

    def _merge(self, place: PurePosixPath) -> None:
        """Add the lines that a list of results has there and not here. They come last, and so
        count: our own were sent before those of another machine were written."""
        here = self.mirror.here(place)
        ours = here.read_bytes() if here.is_file() else b""
        known = set(ours.splitlines())
        theirs = [line for line in self.mirror.read(place).splitlines() if line not in known]
        if theirs:
            make_folder(here.parent)
            with here.open("ab") as file:  # a worker may be adding lines, too
                start = b"" if not ours or ours.endswith(b"\n") else b"\n"
                file.write(start + b"".join(line + b"\n" for line in theirs))

    def _seen(self) -> set[PurePosixPath]:
        """What is there, or was when it was last looked at."""
        found: dict[str, bool] = {}
        if self._ledger.is_file():
            for line in self._ledger.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError):  # a line cut short
                    found.update(json.loads(line))
        return {PurePosixPath(place) for place, is_there in found.items() if is_there}

    def _note(self, path: Path, is_there: bool = True) -> None:
        make_folder(self._ledger.parent)
        with self._ledger.open("a", encoding="utf-8") as file:
            file.write("\n" + _line(self.mirror.place(path), is_there))


def _line(place: PurePosixPath, is_there: bool) -> str:
    return json.dumps({str(place): is_there}) + "\n"


def _is_empty(path: Path) -> bool:
    """Whether a file stands for one that is there: no result is empty."""
    return path.stat().st_size == 0
