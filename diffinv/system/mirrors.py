"""Folders elsewhere, by address, each with a copy on this machine that work is done on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import DiffinvError, UsageError
from .files import STAGED, file_mode, make_folder, staged_name
from .text import text_safe

_AT_ONCE = 8
"""How many files are fetched at once."""

_TIMES = ("LastModified", "mtime", "modified", "last_modified", "updated")
"""What file systems call the time of a file's last change."""

_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "Digest", "Last-Modified")
"""What else changes when a file does, as some say."""

_RENAMING = {"file", "local", "sftp", "ssh"}
"""Protocols by which a file may be seen half-written, and renamed over another."""

_LONGEST = 60
"""So many characters of a folder's name are kept."""

Found = Mapping[str, Any]
"""What a file system says of a file."""


@dataclass(frozen=True)
class Mirror:
    """A folder at an ``address``, and its copy in ``folder``.

    Everything raises DiffinvError, naming the address, if that cannot be had: it is missing, its
    server does not answer, or the library for its protocol is not installed.
    """

    folder: Path
    address: str

    def listed(self) -> dict[PurePosixPath, Found]:
        """The files that are there now, by their places in the folder. Names that no file of the
        copy can have are passed over: folders' own, and those that lead out of it."""
        with naming(self.address, "read"):
            self._files.invalidate_cache()
            found = self._files.find(self._root, detail=True)
            places = {
                PurePosixPath(path[len(self._root) + 1 :]): self._sized(path, one)
                for path, one in found.items()
                if one["type"] == "file" and _is_plain(path[len(self._root) + 1 :])
            }
        folders = {above for place in places for above in place.parents}
        return {place: one for place, one in places.items() if place not in folders}

    def fetch(self, wanted: Callable[[PurePosixPath], bool]) -> int:
        """Have the copy be what there is of the folder whose places are ``wanted``; how many files
        had to be brought."""
        found = {place: one for place, one in self.listed().items() if wanted(place)}
        for place in self.places():
            if place not in found and not place.name.startswith(STAGED):
                self.here(place).unlink(missing_ok=True)
        left = [(place, one) for place, one in found.items() if not self._is_same(place, one)]
        with ThreadPoolExecutor(_AT_ONCE) as several:
            for _ in several.map(lambda pair: self._get(*pair), left):
                pass
        return len(left)

    def bring(self, place: PurePosixPath) -> bool:
        """Have the copy of one file be like it; whether it had to be brought."""
        with naming(self._shown(place), "read"):
            self._files.invalidate_cache()
            try:
                found = self._files.info(self._there(place))
            except FileNotFoundError:
                self.here(place).unlink(missing_ok=True)
                return False
        if found["type"] != "file" or self._is_same(place, found):
            return False
        self._get(place, found)
        return True

    def exists(self, place: PurePosixPath) -> bool:
        """Whether anything has this name there now."""
        with naming(self._shown(place), "read"):
            self._files.invalidate_cache()
            return bool(self._files.exists(self._there(place)))

    def read(self, place: PurePosixPath) -> bytes:
        """What is in a file there."""
        with naming(self._shown(place), "read"):
            return bytes(self._files.cat_file(self._there(place)))

    def send(self, path: Path) -> None:
        """Put a file of the copy in its place, over what is there."""
        place = self.place(path)
        with naming(self._shown(place), "written"):
            try:
                self._put(path, self._there(place))
            except FileNotFoundError:  # where folders are more than parts of a name
                self._files.makedirs(self._there(place.parent), exist_ok=True)
                self._put(path, self._there(place))

    def here(self, place: PurePosixPath) -> Path:
        """Where the copy of a file is."""
        return self.folder.joinpath(*place.parts)

    def place(self, path: Path) -> PurePosixPath:
        """Where a file of the copy belongs."""
        return PurePosixPath(path.relative_to(self.folder).as_posix())

    def places(self) -> list[PurePosixPath]:
        """The files that the copy has."""
        return [self.place(path) for path in self.folder.rglob("*") if path.is_file()]

    def _sized(self, path: str, found: Found) -> Found:
        """What is known of a file; some listings say only its name."""
        return found if found.get("size") is not None else dict(self._files.info(path))

    def _shown(self, place: PurePosixPath) -> str:
        return f"{self.address}/{place}"

    def _there(self, place: PurePosixPath) -> str:
        return f"{self._root}/{place}"

    def _is_same(self, place: PurePosixPath, found: Found) -> bool:
        try:
            status = self.here(place).stat()
        except OSError:
            return False
        return status.st_mtime_ns == _stamp(found) and found["size"] == status.st_size

    def _get(self, place: PurePosixPath, found: Found) -> None:
        """Fetch a file. Its copy's time says which of the file's states it is of."""
        path, stamp = self.here(place), _stamp(found)
        make_folder(path.parent)
        staged = path.with_name(f"{staged_name()}.tmp")
        try:
            with naming(self._shown(place), "read"):
                os.close(os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY, file_mode(path)))
                self._files.get_file(self._there(place), str(staged))
                os.utime(staged, ns=(stamp, stamp))
                os.replace(staged, path)
        finally:
            staged.unlink(missing_ok=True)

    def _put(self, path: Path, there: str) -> None:
        protocol = self._files.protocol
        if not _RENAMING & {*([protocol] if isinstance(protocol, str) else protocol)}:
            self._files.put_file(str(path), there)
            return
        staged = f"{there.rpartition('/')[0]}/{staged_name()}.tmp"
        try:
            self._files.put_file(str(path), staged)
            self._files.mv(staged, there)
        except Exception:
            with contextlib.suppress(Exception):
                self._files.rm_file(staged)
            raise

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
    """The mirror of a folder, whose copy is below a folder of ours and has the same name. Raises
    UsageError for an address of no folder."""
    scheme, _, path = address.partition("://")
    if not path.strip("/"):
        raise UsageError(
            f"{text_safe(address)!r} names no folder; write it as {scheme}://BUCKET/FOLDER."
        )
    address = address.rstrip("/")
    digest = hashlib.sha256(address.encode()).hexdigest()[:12]
    name = text_safe(address.rpartition("/")[2])[:_LONGEST]
    return Mirror(below / digest / (name if _is_plain(name) else "folder"), address)


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


def _is_plain(place: str) -> bool:
    """Whether a file of the copy can have a name that was found elsewhere."""
    odd = set("\0\\:" if os.name == "nt" else "\0")
    return not odd & set(place) and not {"", ".", ".."} & set(place.split("/"))


def _stamp(found: Found) -> int:
    """Which state of a file this is, as a time in nanoseconds: that of its last change, with marks
    that its server gives it in the place of what is less than a second."""
    time = _time(found)
    marks = [str(found[name]) for name in _MARKS if found.get(name)]
    if not marks:
        return int(time * 1e6) * 1000
    return int(time) * 10**9 + zlib.crc32(repr(marks).encode()) % 10**9


def _time(found: Found) -> float:
    """When a file was changed last, in seconds; 0 where nobody knows."""
    said = next((found[name] for name in _TIMES if found.get(name) is not None), 0)
    if isinstance(said, str):
        with contextlib.suppress(ValueError):
            said = datetime.fromisoformat(said)
    if isinstance(said, datetime):
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    return float(said) if isinstance(said, int | float) else 0.0
