"""Starts workers, detached so that they outlive the front end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from ..errors import DiffinvError
from ..system.files import make_folder
from ..system.text import path_text
from .process import is_gone
from .store import JobStore
from .worker_environment import worker_environment

_LOG_LIMIT = 2**20


def ensure_worker(store: JobStore) -> None:
    """Start a worker for every device that jobs wait for and that has no live one. Cheap if there
    is nothing to do."""
    for device in store.waiting_devices():
        if not _is_starting(store, device):
            start(store, device)


def start(store: JobStore, device: str) -> None:
    """Start a worker, with a supervisor that starts another one if it dies. If two are started at
    once, one of them exits."""
    log = worker_log(store, device)
    command = [sys.executable, "-P", "-m", "diffinv.jobs.supervisor"]
    command += ["--folder", str(store.folder), "--device", device]
    try:
        make_folder(log.parent)
        mode = "ab" if log.exists() and log.stat().st_size < _LOG_LIMIT else "wb"
        with open(log, mode, opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=store.folder,
                start_new_session=True,
                env=worker_environment(),
            )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(
            f"The worker cannot be started ({reason}); check {path_text(log.parent)}."
        ) from error
    _started[store.folder, device] = process


_started: dict[tuple[Path, str], subprocess.Popen[bytes]] = {}
"""The supervisors this process has started."""


def _is_starting(store: JobStore, device: str) -> bool:
    """Whether a supervisor of ours is about to start a worker. One that has ended is reaped; a
    zombie, which cannot be reaped yet, no longer counts.
    """
    process = _started.get((store.folder, device))
    if process is None or process.poll() is not None:
        return False
    try:
        return not is_gone(psutil.Process(process.pid))
    except psutil.NoSuchProcess:
        return False


def worker_log(store: JobStore, device: str) -> Path:
    """The log for whatever does not belong to a job."""
    return store.folder / "workers" / f"{device.replace(':', '-')}.log"
