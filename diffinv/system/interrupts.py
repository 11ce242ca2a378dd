"""Tells the interrupt key from code that raises KeyboardInterrupt by itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def interruptible(doing: str) -> Iterator[None]:
    """If Ctrl-C is pressed inside the block, a KeyboardInterrupt that says so ends it, even if the
    code inside swallowed the original one."""
    handler = signal.getsignal(signal.SIGINT)
    elsewhere = threading.current_thread() is not threading.main_thread()
    if elsewhere or handler is not signal.default_int_handler:
        yield  # nothing here raises KeyboardInterrupt for the key
        return
    pressed = False

    def press(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            raise KeyboardInterrupt(f"Interrupted while {doing}.")
