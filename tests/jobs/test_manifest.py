"""The file that says what has been done, in a folder that belongs to somebody else."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from PIL import Image

from diffinv.errors import DiffinvError
from diffinv.jobs.manifest import FILE, Manifest, stamp_of
from diffinv.jobs.tasks import run_application, run_inversion
from diffinv.pictures.reading import list_images
from diffinv.running.editing import Editing
from diffinv.running.progress import AppliedImage


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "b.png"
    Image.new("RGB", (24, 24), "white").save(path)
    return path


def done(manifest: Manifest, picture: Path, name: str = "r.png") -> AppliedImage:
    """Note a result and write it."""
    result = AppliedImage(picture, manifest.folder / name, 1.0)
    manifest.record(result, stamp_of(picture))
    result.output.write_bytes(b"png")
    return result


def test_a_picture_saved_over_while_it_is_worked_on_is_done_again(
    toy, learn, applied, folder, monkeypatch
):
    run_inversion(learn())
    first = list_images(folder)[0]
    apply, calls = Editing.apply, []

    def slow(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            Image.new("RGB", (24, 20), "black").save(first)
        return apply(self, *arguments, **options)

    monkeypatch.setattr(Editing, "apply", slow)
    report = run_application(applied())
    (failure,) = report.failures
    assert "changed while it was worked on; run the same again" in failure
    assert first not in [o.input for o in report.outputs]
    again = run_application(applied())
    assert again.skipped == len(report.outputs)
    assert first in [o.input for o in again.outputs]
    assert run_application(applied()).skipped == len(again.outputs)


@pytest.mark.parametrize("rest", ["", "\n"])
def test_a_line_cut_short_swallows_no_other(tmp_path, picture, rest):
    out = tmp_path / "out"
    done(Manifest(out, "key"), picture)
    (out / FILE).write_text('{"key": "key", "inp' + rest)
    result = done(Manifest(out, "key"), picture, "r2.png")
    assert Manifest(out, "key").done(picture) == result


def test_a_write_that_takes_only_a_part_goes_on(tmp_path, picture, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    result = done(Manifest(tmp_path / "out", "key"), picture)
    monkeypatch.undo()
    assert Manifest(tmp_path / "out", "key").done(picture) == result


def test_only_a_regular_file_is_used(tmp_path, picture):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine\n")
    makes = (os.mkfifo, os.mkdir, lambda path: os.symlink(elsewhere, path))
    for number, make in enumerate(makes):
        out = tmp_path / str(number)
        out.mkdir()
        make(out / FILE)
        with pytest.raises(DiffinvError, match=r"is not a regular file.*move it away"):
            Manifest(out, "key")
        with pytest.raises(DiffinvError, match="is not a regular file"):
            done(Manifest(out, "key", fresh=True), picture)
    assert elsewhere.read_text() == "mine\n"


@pytest.mark.parametrize(
    "change",
    [
        {"output": 5},
        {"output": []},
        {"output": "../b.png"},
        {"output": "/etc/passwd"},
        {"output": "x" * 5_000},
        {"output": "a\0b"},
        {"input": None},
        {"stamp": "now"},
        {"seconds": "1"},
        {"seconds": True},
        {"key": []},
        {"restart": "yes", "output": None},
    ],
)
def test_a_damaged_line_counts_for_nothing(tmp_path, picture, change):
    out = tmp_path / "out"
    done(Manifest(out, "key"), picture)
    (line,) = (out / FILE).read_text().splitlines()
    (out / FILE).write_text(json.dumps(json.loads(line) | change) + "\n")
    assert Manifest(out, "key").done(picture) is None
    assert Manifest(out, "key").stale(picture) is None
    (out / FILE).write_text("[" * 100_000 + "\n" + line + "\n")
    assert Manifest(out, "key").done(picture)


def test_a_damaged_row_removes_no_folder_of_somebody_else(store, learn, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (store.folder / "jobs").mkdir(parents=True, exist_ok=True)
    ids = [store.submit(learn(f"x{number}")).id for number in range(4)]
    for id in ids:
        store.cancel(id)
    named = [str(precious), os.path.relpath(precious, store.folder / "jobs"), ".", ""]
    with sqlite3.connect(store.folder / "jobs.sqlite") as db:
        for id, folder in zip(ids, named, strict=True):
            db.execute("UPDATE jobs SET folder = ? WHERE id = ?", (folder, id))
    assert store.clear() == 4
    assert precious.is_dir()
    assert (store.folder / "jobs").is_dir()
