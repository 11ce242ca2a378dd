"""Files written whole or not at all, and diffinv's own for their user alone."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import platform
import re
import secrets
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from ..errors import DiffinvError
from .paths import is_own, is_users_choice
from .text import path_text

_STAGED = re.compile(r"\.diffinv-([0-9a-f]{8})-(\d{1,9})-[0-9a-f]{12}(\.tmp)?")
"""What :func:`staged_name` gives: machine and process."""

STAGED = ".diffinv-"
"""How such a name begins."""

_LOCK = ".diffinv.lock"

_swept: set[Path] = set()
"""The folders from which this process has removed what killed ones left."""


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. diffinv's own are for their user alone, whatever the umask.
    Raises OSError."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700 if is_own(folder) else 0o777)
    elif is_own(folder) and not is_users_choice() and folder.stat().st_mode & 0o077:
        with contextlib.suppress(OSError):  # made by an earlier version
            folder.chmod(0o700)


def file_mode(path: Path) -> int:
    """The permissions of a new file, before the umask."""
    return 0o600 if is_own(path) else 0o666


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits. Raises DiffinvError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DiffinvError(f"{path_text(path)} cannot be read again.") from error


def atomic_write(path: Path, data: bytes) -> None:
    """Write a file, replacing any existing one; a crash leaves either the old or the new one.

    Missing folders are made. Raises DiffinvError if the file cannot be written.
    """
    with _errors_named(path), _staged(path, data) as staged:
        os.replace(staged, path)


def atomic_create(path: Path, data: bytes) -> bool:
    """Write a new file; if one exists, do nothing and return False.

    If several processes create the same path at once, exactly one gets True. Missing folders are
    made. Raises DiffinvError if the file cannot be written.
    """
    with _errors_named(path), _staged(path, data) as staged:
        try:
            publish_new(staged, path)
        except FileExistsError:
            return False
        return True


def take_back(path: Path, data: bytes) -> None:
    """Remove a file that was just written, unless its contents have been replaced since."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            path.unlink()


def numbered(path: Path) -> Iterator[Path]:
    """``x.png``, ``x-2.png``, ``x-3.png`` and so on."""
    yield path
    for number in itertools.count(2):
        yield path.with_stem(f"{path.stem}-{number}")


def publish_new(staged: Path, path: Path) -> None:
    """Give a file another name, or a second one. Raises FileExistsError if that is taken."""
    try:
        os.link(staged, path, follow_symlinks=os.link not in os.supports_follow_symlinks)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with _claimed(path):
            os.replace(staged, path)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """A free name, which no other process of ours takes meanwhile; a killed one lets go of it.
    Raises FileExistsError if it is taken."""
    with FileLock(path.with_name(_LOCK), mode=file_mode(path)):
        if os.path.lexists(path):
            raise FileExistsError(path)
        yield


def staged_name() -> str:
    """A hidden name for something that is gone after the write, unless the process is killed; then
    the next one to write there removes it."""
    return f"{STAGED}{_node()}-{os.getpid()}-{secrets.token_hex(6)}"


@contextlib.contextmanager
def _staged(path: Path, data: bytes) -> Iterator[Path]:
    """``data`` in a hidden file beside ``path``, synced to disk, and removed afterwards."""
    make_folder(path.parent)
    _sweep(path.parent)
    staged, mode = path.with_name(f"{staged_name()}.tmp"), file_mode(path)
    try:
        with open(staged, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield staged
        _sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine left in a folder when they were killed; once."""
    if folder in _swept:
        return
    _swept.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _STAGED.fullmatch(entry.name)
            if found and found[1] == _node() and not _is_running(int(found[2])):
                with contextlib.suppress(OSError):
                    os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(
                        entry.path
                    )


def _is_running(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid)


@lru_cache(maxsize=1)
def _node() -> str:
    """This machine, among those that may share a folder."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can sync a folder
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(
            f"Cannot write {path_text(path)} ({reason}); "
            "choose a folder that you can write to and that has space left."
        ) from error
