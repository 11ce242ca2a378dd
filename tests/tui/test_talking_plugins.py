"""What plugins write past Python's streams spoils nothing that the app draws."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from installing import install
from test_protocols import OTHERS, open_terminal, read_until

TALKING = """
import os, subprocess
from pathlib import Path
os.write(1, b"SPOILED by descriptor 1")
os.write(2, b"SPOILED by descriptor 2")
subprocess.run(["echo", "SPOILED by a process"], check=True)
Path("talked").touch()
"""
FAILING = """
from diffinv_tui import app
from diffinv_tui.__main__ import main
def fail(self, registry):
    raise RuntimeError("what went wrong")
app.DiffinvApp._take_registry = fail
main([])
"""


def run_in_terminal(home: Path, command: list[str], until: str, keys: bytes = b"") -> bytes:
    """All that is written to a terminal until a program in it has ended."""
    ours, theirs = open_terminal(b"\x1b[?62;22c")
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    known = {"TERM": "xterm-256color", "PYTHONPATH": f"{home / 'site'}{os.pathsep}{path}"}
    environment = {k: v for k, v in os.environ.items() if k not in OTHERS} | known
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    app = subprocess.Popen(
        [sys.executable, "-P", *command],
        **streams, cwd=home, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        written = read_until(ours, re.compile(until.encode()))
        os.write(ours, keys)
        written += read_until_ended(ours, app)
        os.set_blocking(ours, False)
        return written + os.read(ours, 65_536)
    except BlockingIOError:
        return written
    finally:
        app.kill()
        app.wait()
        os.close(theirs)
        os.close(ours)


def read_until_ended(terminal: int, app: subprocess.Popen[bytes]) -> bytes:
    """What a program writes in its last moments: it cannot end while nobody reads that."""
    written, end = b"", time.monotonic() + 20
    while app.poll() is None:
        assert time.monotonic() < end, written
        written += read_until(terminal, re.compile(b"(?s)."), 0.1)
    return written


def test_a_plugin_that_talks_while_it_loads(full_home: Path) -> None:
    (full_home / "site").mkdir()
    (full_home / "site" / "talking.py").write_text(TALKING)
    install(full_home / "site", "talking")
    app = ["-m", "diffinv_tui"]
    written = run_in_terminal(full_home, app, "Suited|Meadow|differences", b"5\x11")
    assert (full_home / "talked").exists()
    assert b"SPOILED" not in written


def test_a_traceback_is_still_seen(full_home: Path) -> None:
    written = run_in_terminal(full_home, ["-c", FAILING], "what went wrong")
    assert b"RuntimeError" in written
