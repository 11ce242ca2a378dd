"""A home of a fixed shape, and apps on it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import sample_home

from diffinv.storage.store import Library
from diffinv_tui.app import DiffinvApp


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, which is also the current one."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DIFFINV_HOME", str(tmp_path / "diffinv"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    sample_home.make(folder)
    return folder


@pytest.fixture
def full_home(home: Path, _filled: Path) -> Path:
    """A home with differences and pictures in it."""
    import shutil

    shutil.copytree(_filled, home, dirs_exist_ok=True)
    return home


@pytest.fixture
def workers() -> Iterator[None]:
    """End the workers that a test has started, and their supervisors."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    for process in psutil.Process().children(recursive=True):
        if process.pid not in before:
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def make_app() -> Callable[..., DiffinvApp]:
    """An app that starts no worker; its jobs stand still unless a store is given."""

    def make(home: Path, jobs: bool = True, **options: Any) -> DiffinvApp:
        data, pictures = home / "diffinv", home / "pictures"
        listed = sample_home.sample_jobs(data, pictures) if jobs and pictures.exists() else []
        options.setdefault("store", sample_home.SampleJobs(data, listed))
        options.setdefault("launcher", lambda _store: None)
        return DiffinvApp(library=Library(data / "library"), **options)

    return make
