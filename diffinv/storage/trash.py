"""The library's trash: a folder in it from which everything can be brought back."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import DiffinvError, UsageError
from ..system.files import file_mode, make_folder, numbered, publish_new
from ..system.text import path_text, text_safe
from .index import list_files, read_entry

FOLDER = ".trash"

TrashId = str
Locked = AbstractContextManager[None]

_LOCK = ".lock"
_PATIENCE = 30.0


@dataclass(frozen=True)
class Trashed:
    """A file in the library's trash. ``deleted`` is in Unix seconds."""

    id: TrashId
    name: str
    path: Path
    deleted: float
    error: str | None = None


@contextlib.contextmanager
def locked(folder: Path, make: bool = False) -> Iterator[None]:
    """Let one process at a time change existing files; file system errors become one sentence.

    Only with ``make`` is a library made that is not there: it may be on a drive that is gone, and
    one in its place would hide it.
    """
    try:
        if make:
            make_folder(folder)
        elif not folder.is_dir():
            raise UsageError(
                f"There is no library at {path_text(folder)}: mount its drive, or put it back."
            )
        with FileLock(folder / _LOCK, timeout=_PATIENCE, mode=file_mode(folder)):
            yield
    except Timeout as error:
        raise DiffinvError(
            f"The library {path_text(folder)} is in use by another program; try again in a moment."
        ) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(
            f"The library {path_text(folder)} cannot be changed ({reason}); "
            "check its permissions and the disk."
        ) from error


class Trash:
    """The trash of a library: a numbered folder for each file."""

    def __init__(self, library: Path) -> None:
        self.folder = library / FOLDER

    def put(self, path: Path) -> TrashId:
        """Move a file here."""
        ids = self._ids()
        number = int(ids[0].partition("-")[0]) + 1 if ids else 1
        id = f"{number:06}-{secrets.token_hex(3)}"
        make_folder(self.folder / id)
        target = self.folder / id / path.name
        os.rename(path, target)
        os.utime(self.folder / id)
        return id

    def items(self) -> list[Trashed]:
        """What is here, the latest first."""
        return [item for id in self._ids() if (item := self._item(id))]

    def get(self, id: TrashId | None) -> Trashed:
        """One file, or the latest. Raises UsageError if there is none."""
        items = self.items()
        found = [item for item in items if id in (None, item.id, item.name)]
        if found:
            return found[0]
        if id is None or not items:
            raise UsageError("The library's trash is empty; there is nothing to restore.")
        raise UsageError(
            f"There is no {text_safe(id)!r} in the library's trash; see 'diffinv library trash'.",
            neutral=f"There is no {text_safe(id)!r} in the library's trash.",
        )

    def take(self, item: Trashed, target: Path) -> Path:
        """Move a file out of here, numbered if its place is taken."""
        for place in numbered(target):
            with contextlib.suppress(FileExistsError):
                publish_new(item.path, place)
                self.forget(item)
                return place
        raise AssertionError("numbers do not end")

    def forget(self, item: Trashed) -> None:
        """Remove what is left here of a file that has been brought back."""
        item.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            item.path.parent.rmdir()

    def _ids(self) -> list[TrashId]:
        if not self.folder.is_dir():
            return []
        names = [name for name in os.listdir(self.folder) if name.partition("-")[0].isdecimal()]
        return sorted(names, reverse=True)

    def _item(self, id: TrashId) -> Trashed | None:
        folder = self.folder / id
        try:
            files, deleted = list_files(folder), folder.stat().st_mtime
        except OSError:
            return None
        if not files:
            return None
        entry = read_entry(folder / files[0])
        return Trashed(id, entry.name, entry.path, deleted, entry.error)
