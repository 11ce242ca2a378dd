"""Tells processes apart: a pid alone misleads once it is reused."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Identity:
    """Identifies a process: its pid, when it started, and during which boot."""

    pid: int
    started: str
    boot: str

    def is_alive(self) -> bool:
        """Whether this very process is still running."""
        return self.boot == _boot() and self.started == _started(self.pid)

    def is_of_this_boot(self) -> bool:
        """Whether the machine has not restarted since."""
        return self.boot == _boot()


def this_process() -> Identity:
    """The calling process."""
    pid = os.getpid()
    return Identity(pid, _started(pid) or "", _boot())


def supervisor_of(worker: Identity) -> psutil.Process | None:
    """The process that starts another worker if this one dies."""
    try:
        parent = psutil.Process(worker.pid).parent()
        if worker.is_alive() and parent and "diffinv.jobs.supervisor" in parent.cmdline():
            return parent
    except (psutil.Error, OSError):
        pass
    return None


def is_gone(process: psutil.Process) -> bool:
    """Whether a process has ended, though nobody may have waited for it yet."""
    try:
        return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return True


def _started(pid: int) -> str | None:
    """When a process was created; None if there is none, or only a zombie."""
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
    """Clock ticks since the machine started. Setting the clock does not change them, unlike the
    creation time that psutil derives from it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[19]


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""  # creation times tell boots apart
