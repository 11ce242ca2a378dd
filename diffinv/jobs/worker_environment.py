"""Whether an idle worker is still what a new one would be.

A worker inherits the environment of the process that starts it. One started before a key was set
or a plugin installed must not get the next job: it makes way for a new process, since only that
loads an updated plugin's new code. A busy worker cannot make way; it looks for plugins again before
its next job (:func:`diffinv.plugins.loading.reload_if_changed`), which is enough for plugins that
were added or switched on or off.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

import psutil

from ..plugins.loading import installed_plugins
from ..running.devices import device_key
from .process import Identity, is_gone, supervisor_of
from .store import JobStore

PLUGINS = "DIFFINV_WORKER_PLUGINS"
"""The variable in a worker's environment that lists the plugins installed when it started."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_STORES = ("AWS_", "AZURE_", "GOOGLE_", "GCS", "FSSPEC_")
"""Where the libraries for addresses look for keys."""
_DECISIVE = ("DIFFINV_", "HF_", *_PROXIES, *_STORES)
_DECISIVE_NAMES = ("PYTHONPATH", "CUDA_VISIBLE_DEVICES")
_PATIENCE = 5.0


def worker_environment() -> dict[str, str]:
    """Our own, with this process's whole module path, so that the worker sees the same plugins."""
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    plugins = " ".join(installed_plugins())
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), PLUGINS: plugins}


def dismiss_stale_worker(store: JobStore, device: str | None) -> None:
    """Dismiss a device's worker if it is idle and was started in an environment other than this
    one. A busy worker is left alone, and does the jobs waiting for it too."""
    key = device_key(device)
    worker = store.worker(key)
    if worker is None or not _is_stale(worker):
        return
    if any(job.device == key for job in store.jobs(["running", "queued"])):
        return
    supervisor = supervisor_of(worker)
    leaving = [*([supervisor] if supervisor else []), psutil.Process(worker.pid)]
    try:
        for process in leaving:
            process.terminate()
    except psutil.Error:
        return
    deadline = time.monotonic() + _PATIENCE
    while not all(map(is_gone, leaving)) and time.monotonic() < deadline:
        time.sleep(0.02)


def _is_stale(worker: Identity) -> bool:
    try:
        environment = psutil.Process(worker.pid).environ()
    except (psutil.Error, OSError):
        return False
    return worker.is_alive() and _decisive(environment) != _decisive(worker_environment())


def _decisive(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that affect what a worker does."""
    return {
        name: value
        for name, value in environment.items()
        if name.upper().startswith(_DECISIVE) or name in _DECISIVE_NAMES
    }
