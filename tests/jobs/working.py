"""Workers in processes of their own, and what can be seen of their work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from diffinv.jobs.store import JobStore


def start_worker(store: JobStore, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    """A worker for the CPU in a process of its own."""
    command = [sys.executable, "-P", "-m", "diffinv.jobs.worker", "--folder", str(store.folder)]
    return subprocess.Popen(
        [*command, "--device", "cpu", *options],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(store: JobStore, condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until the store has changed so that a condition holds."""
    deadline, seen = time.monotonic() + seconds, None
    while True:
        version = store.changes()
        if version != seen:
            seen = version
            if condition():
                return
        assert time.monotonic() < deadline, [(j.id, j.state, j.error) for j in store.jobs()]
        time.sleep(0.01)


def pictures_in(folder: Path) -> dict[str, int]:
    """The results in a folder with the times they were written."""
    found = folder.rglob("*.png")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}
