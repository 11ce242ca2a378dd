"""A list of names in a file, one line each, to which several of our processes may add."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..system.files import atomic_write, make_folder


class Ledger:
    """The names in the file at ``path``. A line that was cut short names nothing. Raises OSError
    if the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[PurePosixPath] = set()
        self._read: tuple[int, ...] = ()

    @property
    def names(self) -> set[PurePosixPath]:
        """All of them; the file is read again if another process has written to it."""
        state = self._state()
        if state != self._read:
            text = self._path.read_text(encoding="utf-8", errors="replace") if state else ""
            named = (name for line in text.splitlines() for name in _named(line))
            self._known, self._read = set(map(PurePosixPath, named)), state
        return self._known

    def add(self, name: PurePosixPath) -> None:
        """Add a name. The line before may have been cut short, so it starts a new one."""
        names = self.names
        make_folder(self._path.parent)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + _line(name))
        names.add(name)
        self._read = self._state()

    def replace(self, names: Iterable[PurePosixPath]) -> None:
        """Name these and no others."""
        atomic_write(self._path, "".join(map(_line, names)).encode())

    def _state(self) -> tuple[int, ...]:
        """What changes when the file does; nothing if there is none."""
        if not self._path.exists():
            return ()
        status = self._path.stat()
        return (status.st_mtime_ns, status.st_size, status.st_ino)


def _line(name: PurePosixPath) -> str:
    return json.dumps([str(name)]) + "\n"


def _named(line: str) -> list[str]:
    try:
        found = json.loads(line)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
