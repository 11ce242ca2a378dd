"""Which process is which: a pid alone lies once it is used again."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Identity:
    """A process beyond doubt: its pid, when it started, and during which boot."""

    pid: int
    started: str
    boot: str

    def is_alive(self) -> bool:
        """Whether this very process is still running."""
        return self.boot == _boot() and self.started == _started(self.pid)

    def is_of_this_boot(self) -> bool:
        """Whether the machine has not been restarted since."""
        return self.boot == _boot()


def this_process() -> Identity:
    """The calling process."""
    pid = os.getpid()
    return Identity(pid, _started(pid) or "", _boot())


def _started(pid: int) -> str | None:
    """When a process was created; None where there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        if sys.platform == "linux":
            return _ticks(pid)
        return str(process.create_time())
    except (psutil.Error, OSError):
        return None


def _ticks(pid: int) -> str:
    """Clock ticks from the machine's start: setting the clock does not change them, as it does
    the create time that psutil derives from it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[19]


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""  # create times tell the runs of the machine apart
