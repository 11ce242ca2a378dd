"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..errors import DiffinvError
from .text import path_text


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
        os.link(staged, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: claim the name first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(staged, path)
        except OSError:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _staged(path: Path, data: bytes) -> Iterator[Path]:
    """``data`` in a hidden file beside ``path``, synced to disk, and removed afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with staged.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield staged
        _sync_folder(path.parent)
    finally:
        staged.unlink(missing_ok=True)


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
