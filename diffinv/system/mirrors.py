"""Folders elsewhere, by address, each with a copy of it on this machine that work is done on."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import DiffinvError
from .files import file_mode, make_folder, staged_name
from .text import text_safe

_AT_ONCE = 8
"""How many files are fetched at once."""

_TIMES = ("LastModified", "mtime", "modified", "last_modified", "updated")
"""What file systems call the time of a file's last change."""

_LONGEST = 60
"""So many characters of a folder's name are kept."""

Found = dict[str, Any]
"""What a file system says of a file."""


@dataclass(frozen=True)
class Mirror:
    """A folder at an ``address``, and its copy in ``folder``.

    Everything raises DiffinvError, naming the address, if that cannot be had: it is missing, its
    server does not answer, or the library for its protocol is not installed.
    """

    folder: Path
    address: str

    def fetch(self, wanted: Callable[[PurePosixPath], bool], again: bool = True) -> int:
        """Bring the files whose places in the folder are ``wanted`` and that are not the same here,
        or, unless ``again``, not here at all; how many there were."""
        with naming(self.address, "read"):
            found = {place: one for place, one in self._listed().items() if wanted(place)}
            left = [
                (place, one)
                for place, one in found.items()
                if (again or not self.here(place).exists()) and not self._is_same(place, one)
            ]
            with ThreadPoolExecutor(_AT_ONCE) as several:
                for _ in several.map(lambda pair: self._get(*pair), left):
                    pass
            return len(left)

    def bring(self, place: PurePosixPath) -> bool:
        """One file, if it is there and not the same here; whether it was fetched."""
        with naming(self.address, "read"), contextlib.suppress(FileNotFoundError):
            self._files.invalidate_cache()
            found = self._files.info(self._there(place))
            if found["type"] == "file" and not self._is_same(place, found):
                self._get(place, found)
                return True
        return False

    def send(self, path: Path) -> None:
        """Put a file of the copy in its place, over what is there."""
        there = self._there(self.place(path))
        with naming(self.address, "written to"):
            try:
                self._files.put_file(str(path), there)
            except FileNotFoundError:  # where folders are more than parts of a name
                self._files.makedirs(there.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), there)

    def send_missing(self, paths: Iterable[Path]) -> None:
        """Those files of the copy that are not in their places, or not whole."""
        with naming(self.address, "read"):
            sizes = {self.here(place): one["size"] for place, one in self._listed().items()}
        for path in paths:
            if sizes.get(path) != path.stat().st_size:
                self.send(path)

    def here(self, place: PurePosixPath) -> Path:
        """Where the copy of a file is."""
        return self.folder.joinpath(*place.parts)

    def place(self, path: Path) -> PurePosixPath:
        """Where a file of the copy belongs."""
        return PurePosixPath(path.relative_to(self.folder).as_posix())

    def _there(self, place: PurePosixPath) -> str:
        return f"{self._root}/{place}"

    def _listed(self) -> dict[PurePosixPath, Found]:
        """The files that are there now, by their places. A name that would lead out of the copy's
        folder is passed over."""
        self._files.invalidate_cache()
        found = self._files.find(self._root, detail=True)
        places = {PurePosixPath(path[len(self._root) + 1 :]): one for path, one in found.items()}
        return {place: one for place, one in places.items() if _is_inside(place)}

    def _is_same(self, place: PurePosixPath, found: Found) -> bool:
        try:
            status = self.here(place).stat()
        except OSError:
            return False
        return (status.st_size, int(status.st_mtime)) == (found["size"], int(_time(found)))

    def _get(self, place: PurePosixPath, found: Found) -> None:
        """Fetch a file, with its time: here as there, it says whether the file has changed."""
        path, time = self.here(place), _time(found)
        make_folder(path.parent)
        staged = path.with_name(f"{staged_name()}.tmp")
        try:
            os.close(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, file_mode(path)))
            self._files.get_file(self._there(place), str(staged))
            os.utime(staged, (time, time))
            os.replace(staged, path)
        finally:
            staged.unlink(missing_ok=True)

    @cached_property
    def _files(self) -> Any:
        return self._opened[0]

    @cached_property
    def _root(self) -> str:
        return str(self._opened[1]).rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        return _opened(self.address)


def mirror_of(address: str, below: Path) -> Mirror:
    """The mirror of a folder, whose copy is below a folder of ours and has the same name."""
    address = address.rstrip("/")
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    name = text_safe(address.rpartition("/")[2])[:_LONGEST]
    return Mirror(below / digest / (name if _is_inside(PurePosixPath(name)) else "folder"), address)


def is_file(address: str) -> bool:
    """Whether there is a file at an address. Raises DiffinvError if nothing can be known of it."""
    with naming(address, "read"):
        files, path = _opened(address)
        return bool(files.isfile(path))


@contextlib.contextmanager
def naming(address: str, done: str) -> Iterator[None]:
    """Errors as one sentence that names the address; each protocol has a library with its own."""
    try:
        yield
    except DiffinvError:
        raise
    except Exception as error:
        reason = text_safe(str(error)).rstrip(".") or type(error).__name__
        raise DiffinvError(f"{text_safe(address)!r} cannot be {done}: {reason}.") from error


def _opened(address: str) -> tuple[Any, str]:
    import fsspec

    files, path = fsspec.url_to_fs(address)
    return files, path


def _is_inside(place: PurePosixPath) -> bool:
    odd = set("\0\\:" if os.name == "nt" else "\0")
    inside = bool(place.name) and not place.is_absolute() and ".." not in place.parts
    return inside and not odd & set(str(place))


def _time(found: Found) -> float:
    """When a file was changed last, in seconds; 0 where nobody knows."""
    said = next((found[name] for name in _TIMES if found.get(name) is not None), 0)
    if isinstance(said, str):
        with contextlib.suppress(ValueError):
            said = datetime.fromisoformat(said)
    if isinstance(said, datetime):
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    return float(said) if isinstance(said, int | float) else 0.0
