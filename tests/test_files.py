"""Files of our own: private, whole whatever happens, and nothing left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from diffinv.cli.app import run
from diffinv.jobs.store import JobStore
from diffinv.system import files
from diffinv.system.database import MemoryDatabase
from diffinv.system.files import atomic_create, atomic_write, make_folder
from diffinv.system.paths import data_folder

WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from diffinv.system import files
files.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.atomic_write(Path(sys.argv[1]), b"half")
"""


def killed_while_writing(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_swept", set())
    killed_while_writing(tmp_path / "b.png")
    (left,) = os.listdir(tmp_path)
    mine = [f"{left[:-3]}png", ".0123456789abcdef.tmp", left.replace(left[9:17], "0" * 8)]
    for name in mine:
        (tmp_path / name).write_bytes(b"somebody else's")
    live = tmp_path / f"{files.staged_name()}.tmp"
    live.write_bytes(b"still being written")
    atomic_write(tmp_path / "c.png", b"whole")
    assert set(os.listdir(tmp_path)) == {"c.png", live.name, *mine}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_what_is_in_the_home_is_for_its_user_alone(tmp_path, monkeypatch, umask):
    monkeypatch.setenv("DIFFINV_HOME", str(tmp_path / "new" / "home"))
    before = os.umask(umask)
    try:
        assert run(["demo", "--help"]) == 0
        store = JobStore()
        store.set_paused(True)
        make_folder(store.folder / "jobs" / "0")
        atomic_create(data_folder() / "library" / "x.safetensors", b"")
        assert run(["library", "list"]) == 0
        atomic_write(tmp_path / "results" / "b.png", b"")
    finally:
        os.umask(before)
    home = data_folder()
    found = {p: stat.S_IMODE(p.stat().st_mode) for p in [home, *home.rglob("*")]}
    assert {path.name for path in found} >= {"library", "jobs.sqlite", "index.sqlite"}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    outside = tmp_path / "results" / "b.png"
    assert stat.S_IMODE(outside.stat().st_mode) == 0o666 & ~umask


def test_a_folder_the_user_made_keeps_its_permissions():
    home = data_folder()
    home.chmod(0o755)
    atomic_write(home / "x", b"")
    assert stat.S_IMODE(home.stat().st_mode) == 0o755


def test_killed_on_a_disk_without_hard_links_there_is_no_empty_result(tmp_path):
    code = WRITE_AND_DIE.replace("files.os.fsync", "files.os.replace = files.os.link").replace(
        "lambda handle: os.kill", "lambda *_, **__: _ == 0 or os.kill"
    )
    no_links = "def no(*_, **__): raise PermissionError(1, 'no')\nfiles.os.link = no\n"
    code = code.replace("files.atomic_write", f"{no_links}files.atomic_create")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.png")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "b.png").exists()
    assert atomic_create(tmp_path / "b.png", b"whole")


def test_a_database_in_memory_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = MemoryDatabase(("CREATE TABLE names (name TEXT)",), "The list")
    with data.write() as connection:
        connection.execute("INSERT INTO names VALUES ('winter')")
    assert [tuple(row) for row in data.read("SELECT name FROM names")] == [("winter",)]
    assert not list(tmp_path.iterdir())
