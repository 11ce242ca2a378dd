"""Runs command lines: in this process, or in one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from installing import MODULES, install
from PIL import Image

from diffinv.cli import app
from diffinv.jobs import launch
from diffinv.jobs.process import is_gone, supervisor_of
from diffinv.jobs.store import JobStore
from diffinv.jobs.worker import Worker
from diffinv.plugins.loading import registry

ROOT = Path(__file__).parent.parent


def end_workers(home: Path) -> None:
    """Kill the workers that a test has left and their supervisors, so that none outlives it."""
    if not (home / "jobs.sqlite").exists():
        return
    store = JobStore(home)
    workers = [store.worker(device) for device in ("cpu", "cuda:0", "mps", "network")]
    for worker in workers:
        if worker and worker.is_alive() and worker.pid != os.getpid():
            for one in (supervisor_of(worker), psutil.Process(worker.pid)):
                if one:
                    one.kill()
                    _wait_for_end(one)


def _wait_for_end(process: psutil.Process) -> None:
    """Until a process has ended. Where nobody reaps it, it stays a zombie for ever."""
    ends = time.monotonic() + 30
    while not is_gone(process):
        assert time.monotonic() < ends, f"{process} goes on"
        time.sleep(0.02)


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def is_one_sentence(text: str) -> bool:
    lines = text.strip().splitlines()
    return len(lines) == 1 and lines[0].startswith("Error: ") and lines[0].endswith((".", "?"))


@pytest.fixture
def diffinv(tmp_path, monkeypatch, capsys):
    """Run a command line in this process, with the toy backbone installed; so does the worker."""
    monkeypatch.setattr(launch, "start", lambda store, device: Worker(store, device, idle=0).run())
    install(tmp_path / "site", "toy")
    monkeypatch.syspath_prepend(str(MODULES))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry.cache_clear()

    def run(*args: object) -> Result:
        code = app.run([str(arg) for arg in args])
        return Result(code, *capsys.readouterr())

    yield run
    registry.cache_clear()


@pytest.fixture
def process(tmp_path):
    """Run a command line in a process of its own; ``modules`` are plugins to install for it."""

    def run(*args: str, modules: tuple[str, ...] = (), code: str = "") -> Result:
        site = tmp_path / "process-site"
        if modules and not site.exists():
            install(site, *modules)
        path = [str(site), str(MODULES), str(ROOT), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-c", code or "from diffinv.cli import main; main()", *args],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def pictures(tmp_path):
    """A (red), A' (blue) and a folder of B."""
    folder = tmp_path / "pictures"
    (folder / "b" / "deeper").mkdir(parents=True)
    for name, colour in {
        "a": "red",
        "a2": "blue",
        "b/one": "green",
        "b/two": "red",
        "b/deeper/one": "white",
    }.items():
        Image.new("RGB", (24, 20), colour).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def learned(diffinv, pictures):
    """A library with the difference ``blue``."""
    done = diffinv(
        "invert", pictures / "a.png", pictures / "a2.png", "--name", "blue", "--backbone", "toy",
        "--steps", 3, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.json


def leave_once_learning(front: subprocess.Popen[str]) -> tuple[str, str]:
    """Press Ctrl-C once a foreground command shows that it learns: what it has printed."""
    assert front.stderr is not None
    seen = ""
    while "Learning the difference" not in seen:
        line = front.stderr.readline()
        assert line, seen
        seen += line
    front.send_signal(signal.SIGINT)
    out, err = front.communicate(timeout=60)
    assert front.returncode == 130
    return out, err
