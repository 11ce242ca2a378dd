"""Keeps printed text away from stdout and stderr, however it is printed."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO, TextIO

_STREAMS = ("stdout", "stderr")
_ORIGINALS = ("__stdout__", "__stderr__")


class _Printed(io.StringIO):
    """Keeps what was printed even if it is closed."""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def swallowed() -> Iterator[io.StringIO]:
    """Collects what is printed inside the block instead of sending it to stdout or stderr.

    In the main thread this includes their file descriptors, and so what bypasses Python's streams.
    In other threads it does not: :func:`kept_for_python` is for those.
    """
    printed = _Printed()
    if threading.current_thread() is not threading.main_thread():
        with replaced(_STREAMS, printed):
            yield printed
        return
    _flush()
    with _scratch_file() as file:
        with (
            pointed(1, file.fileno()),
            pointed(2, file.fileno()),
            replaced(_STREAMS + _ORIGINALS, printed),
        ):
            yield printed
        file.seek(0)
        printed.write(file.read().decode(errors="replace"))


@contextlib.contextmanager
def kept_for_python() -> Iterator[None]:
    """Inside the block only Python's own streams still lead where stdout and stderr did.

    What libraries and other programs write to file descriptors 1 and 2, in any thread, is
    discarded, so that an app can draw on the streams undisturbed.
    """
    with contextlib.ExitStack() as stack:
        nowhere = stack.enter_context(open(os.devnull, "r+b"))
        for descriptor, name in enumerate(_STREAMS, 1):
            stream: TextIO | None = getattr(sys, f"__{name}__")
            if stream is not None:
                twin = stack.enter_context(_twin(stream))
                stack.enter_context(replaced((name, f"__{name}__"), twin))
            stack.enter_context(pointed(descriptor, nowhere.fileno()))
        yield


def _twin(stream: TextIO) -> TextIO:
    """A stream to the same place, through its own file descriptor."""
    stream.flush()
    copy = os.dup(stream.fileno())
    return open(copy, "w", buffering=1, encoding=stream.encoding, errors=stream.errors)


@contextlib.contextmanager
def pointed(descriptor: int, target: int) -> Iterator[None]:
    """Point a file descriptor elsewhere inside the block, and back again even if it was closed
    meanwhile. Does nothing if either of the two is not open."""
    try:
        kept = os.dup(descriptor)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            os.dup2(target, descriptor)
            os.set_inheritable(descriptor, True)  # dup2 skips this if the two are the same
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


@contextlib.contextmanager
def replaced(names: Sequence[str], stream: TextIO) -> Iterator[None]:
    """Replace streams of :mod:`sys`, given by name, inside the block."""
    kept = {name: getattr(sys, name) for name in names}
    try:
        for name in names:
            setattr(sys, name, stream)
        yield
    finally:
        for name, one in kept.items():
            setattr(sys, name, one)


def _scratch_file() -> IO[bytes]:
    """A private scratch file, or the null device if none can be made."""
    try:
        return tempfile.TemporaryFile()
    except OSError:
        return open(os.devnull, "r+b")


def _flush() -> None:
    """Flush what was printed so far to where it was meant to go."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
