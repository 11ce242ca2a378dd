"""Pictures in terminals that can draw them: one that answers as such terminals do."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path

import pytest

COLUMNS, ROWS, CELL = 120, 40, (10, 20)
OTHERS = ("TMUX", "NO_COLOR", "COLUMNS", "LINES")
"""Variables that speak of another terminal."""

PROTOCOLS = {
    "sixels": (b"\x1b[?62;4;22c", re.compile(rb"\x1bP[\d;]*q[^\x1b]{100}")),
    "kitty": (
        b"\x1b[?62;22c\x1b_Gi=1;OK\x1b\\",
        re.compile(rb"\x1b_G[^\x1b]*f=\d+[^\x1b]*;[^\x1b]{100}"),
    ),
}
"""What the terminal answers when it is asked what it is, and how a picture begins."""


def open_terminal(answer: bytes) -> tuple[int, int]:
    """A terminal's two ends. The answer is there before it is asked for, so that no busy machine
    lets it come too late."""
    ours, theirs = pty.openpty()
    size = struct.pack("HHHH", ROWS, COLUMNS, COLUMNS * CELL[0], ROWS * CELL[1])
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    tty.setraw(theirs)
    os.write(ours, answer)
    return ours, theirs


def read_until(terminal: int, wanted: re.Pattern[bytes], seconds: float = 60) -> bytes:
    """What is written, until what is wanted is among it or there is no time left."""
    written, end = b"", time.monotonic() + seconds
    while time.monotonic() < end and not wanted.search(written):
        if select.select([terminal], [], [], 0.1)[0]:
            written += os.read(terminal, 65_536)
    return written


@pytest.mark.parametrize("name", PROTOCOLS)
def test_pictures_are_drawn_by_the_terminal(name: str, full_home: Path) -> None:
    answer, picture = PROTOCOLS[name]
    ours, theirs = open_terminal(answer)
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    known = {"TERM": "xterm-256color", "PYTHONPATH": path}
    environment = {k: v for k, v in os.environ.items() if k not in OTHERS} | known
    command = [sys.executable, "-P", "-m", "diffinv_tui"]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    app = subprocess.Popen(
        command, **streams, cwd=full_home, env=environment, start_new_session=True
    )
    try:
        os.close(theirs)
        assert picture.search(read_until(ours, picture))
    finally:
        app.kill()
        app.wait()
        os.close(ours)
