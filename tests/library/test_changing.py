"""Renaming, tagging, the trash, import and export; by two processes at once, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_library import make

from diffinv.cli import app
from diffinv.difference import load, save
from diffinv.errors import DiffinvError, UsageError
from diffinv.storage import trash as trashes
from diffinv.storage.importing import import_file
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library")


def names(library: Library) -> list[str]:
    return [entry.name for entry in library.entries()]


def test_rename_moves_the_file_and_keeps_everything_else(library):
    old = library.add(make("castle", 3))
    entry = library.rename("castle", "Old Fort")
    assert entry.path.name == "old-fort.safetensors"
    assert not old.path.exists()
    assert names(library) == ["Old Fort"]
    assert load(entry.path).tokens[0, 0] == 3
    assert entry.info.hash_sha256 == old.info.hash_sha256
    assert library.rename("Old Fort", "OLD fort").path == entry.path
    assert names(library) == ["OLD fort"]


@pytest.mark.parametrize("new", ["", "\n", "x:2", ":2", "y:nan", "bridge", "x" * 201])
def test_names_that_cannot_be(library, new):
    library.add(make("castle"))
    library.add(make("bridge"))
    with pytest.raises(UsageError):
        library.rename("castle", new)
    assert names(library) == ["bridge", "castle"]


def test_a_damaged_file_cannot_be_renamed_but_thrown_away(library):
    library.add(make("castle"))
    path = library.folder / "bad.safetensors"
    path.write_bytes(b"rubbish")
    advice = "damaged or not a difference; get another copy of it or move it to the trash"
    with pytest.raises(DiffinvError, match=advice):
        library.rename("bad", "good")
    with pytest.raises(DiffinvError, match=advice):
        library.info(path)
    assert [advice in problem for _, problem in library.verify()] == [True]
    assert [advice in entry.error for entry in library.entries() if entry.error] == [True]
    outside = path.rename(library.folder.parent / "bad.safetensors")
    with pytest.raises(DiffinvError, match="name a difference file"):
        library.load(outside)
    outside.rename(path)
    id = library.trash("bad")
    assert names(library) == ["castle"]
    assert library.trashed()[0].error
    assert library.restore(id).path == path
    assert path.read_bytes() == b"rubbish"


@pytest.mark.parametrize("path", ["ext.safetensors", "library/../ext.safetensors"])
def test_a_file_outside_the_library_is_left_as_it_is(library, tmp_path, monkeypatch, path):
    library.add(make("castle"))
    monkeypatch.chdir(tmp_path)
    outside = tmp_path / "ext.safetensors"
    save(make("ext"), outside)
    before = outside.read_bytes()
    for change in (
        lambda: library.rename(path, "moved"),
        lambda: library.rename(path, "ext"),
        lambda: library.set_tags(path, ["new"]),
        lambda: library.trash(path),
    ):
        with pytest.raises(UsageError, match="not in the library"):
            change()
    assert outside.read_bytes() == before
    assert names(library) == ["castle"]


def test_tags(library):
    library.add(make("castle"))
    assert library.set_tags("castle", ["Old", "stone", "old"]).info.tags == ("Old", "stone")
    entry = library.set_tags("castle", ["new"], ["STONE", "nothing"])
    assert entry.info.tags == load(entry.path).info.tags == ("Old", "new")
    for tag in ("", "a,b", "x" * 65):
        with pytest.raises(UsageError):
            library.set_tags("castle", [tag])
    assert library.tags() == [("new", 1), ("Old", 1)]


def test_the_trash_gives_back(library):
    kept = library.add(make("castle", 1)).path.read_bytes()
    first = library.trash("castle")
    library.add(make("castle", 2))
    second = library.trash("castle")
    assert names(library) == []
    assert [item.id for item in library.trashed()] == [second, first]
    assert [item.name for item in library.trashed()] == ["castle", "castle"]
    entry = library.restore(first)
    assert entry.path.read_bytes() == kept
    again = library.restore()
    assert (again.name, again.path.stem) == ("castle-2", "castle-2")
    assert load(again.path).tokens[0, 0] == 2
    assert library.trashed() == []
    with pytest.raises(UsageError, match="empty"):
        library.restore()
    library.trash("castle")
    with pytest.raises(UsageError, match="no 'nothing'"):
        library.restore("nothing")
    assert library.restore("castle").name == "castle"


def test_the_order_of_the_trash_does_not_depend_on_the_clock(library):
    ids = []
    for name, at in (("a", 2_000_000_000), ("b", 1_000_000_000)):
        library.add(make(name))
        ids.append(library.trash(name))
        os.utime(library.folder / ".trash" / ids[-1], (at, at))
    assert library.restore().name == "b"


def test_nothing_outside_of_the_library_is_thrown_away(library, tmp_path):
    library.folder.mkdir()
    outside = tmp_path / "x.safetensors"
    save(make("x"), outside)
    with pytest.raises(UsageError, match="not in the library"):
        library.trash(outside)
    assert outside.exists()


def test_restoring_overwrites_nothing(library):
    path = library.folder / "bad.safetensors"
    library.folder.mkdir()
    path.write_bytes(b"one")
    id = library.trash("bad")
    path.write_bytes(b"two")
    assert library.restore(id).path.name == "bad-2.safetensors"
    assert path.read_bytes() == b"two"


def test_duplicates_have_the_same_tensors(library):
    for name, value in (("a", 1), ("b", 2), ("c", 1)):
        library.add(make(name, value))
    library.rename("c", "d")
    (group,) = library.duplicates()
    assert [entry.name for entry in group] == ["a", "d"]


def test_verify_finds_what_a_header_hides(library):
    library.add(make("good"))
    bad = library.add(make("bad")).path
    bad.write_bytes(bad.read_bytes()[:-1] + b"\xff")
    assert all(entry.error is None for entry in library.entries())
    ((name, problem),) = library.verify()
    assert name == "bad"
    assert "checksum" in problem


def test_import_checks_first(library, tmp_path):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    save(make("castle", 4), good)
    bad.write_bytes(good.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DiffinvError, match="checksum"):
        import_file(library, bad)
    assert not library.folder.exists()
    assert import_file(library, good).name == "castle"
    with pytest.raises(UsageError, match="already, as 'castle'"):
        import_file(library, good)
    assert import_file(library, good, "second").name == "second"
    with pytest.raises(DiffinvError, match="is not a file; check the path"):
        import_file(library, tmp_path / "none.safetensors")


def test_export_overwrites_only_when_told(library, tmp_path):
    entry = library.add(make("castle"))
    target = library.export("castle", tmp_path)
    assert target == tmp_path / "castle.safetensors"
    assert target.read_bytes() == entry.path.read_bytes()
    target.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        library.export("castle", tmp_path)
    assert target.read_bytes() == b"mine"
    assert library.export("castle", target, replace=True).read_bytes() != b"mine"
    assert library.export("castle", tmp_path / "deep" / "other").name == "other.safetensors"


def test_a_library_in_use_says_so(library, monkeypatch):
    library.add(make("castle"))
    monkeypatch.setattr(trashes, "_PATIENCE", 0.01)
    with (
        trashes.locked(library.folder),
        pytest.raises(DiffinvError, match="in use by another program"),
    ):
        Library(library.folder).rename("castle", "x")
    assert library.rename("castle", "x").name == "x"


CHANGE_MANY = """
import sys
from pathlib import Path
from diffinv.errors import DiffinvError
from tests.test_library import Library, make
library, me = Library(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for i in range(8):
    library.add(make("new", 100 * int(me) + i))
    try:
        library.rename(f"shared-{i}", f"taken by {me} {i}")
    except DiffinvError:
        pass
    library.set_tags("common", [f"{me}-{i}"])
    library.search("taken")
"""


def test_two_processes_that_change_the_library_at_once_lose_nothing(library):
    library.add(make("common", 7))
    for i in range(8):
        library.add(make(f"shared-{i}", 50 + i))
    command = [sys.executable, "-c", CHANGE_MANY, str(library.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    root = Path(__file__).parents[2]
    both = [subprocess.Popen([*command, str(i)], cwd=root, **pipes) for i in (1, 2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in both:
        process.communicate()
        assert process.returncode == 0
    values = sorted(float(load(e.path).tokens[0, 0]) for e in library.entries())
    assert values == sorted([7.0, *(50.0 + i for i in range(8)), *added(1), *added(2)])
    (common,) = library.search("common")
    assert set(common.info.tags) == {f"{me}-{i}" for me in (1, 2) for i in range(8)}
    assert library.count("taken") == 8
    assert np.isfinite(values).all()


def added(me: int) -> list[float]:
    return [100.0 * me + i for i in range(8)]


@pytest.mark.parametrize("indexed", [False, True])
def test_on_a_full_disk_the_library_is_read_and_thrown_away(full_disk, monkeypatch, indexed):
    folder, fill = full_disk
    monkeypatch.setenv("DIFFINV_HOME", str(folder))
    for name in ("castle", "bridge"):
        Library(folder / "library").add(make(name))
    if indexed:
        assert Library(folder / "library").count() == 2
        save(make("new"), folder / "library" / "new.safetensors")
    fill()
    library = Library(folder / "library")
    assert names(library) == ["bridge", "castle", *["new"] * indexed]
    assert [entry.name for entry in library.search("cast")] == ["castle"]
    id = library.trash("castle")
    assert "castle" not in names(library)
    assert library.restore(id).name == "castle"
    assert "castle" in names(library)
    with pytest.raises(DiffinvError, match="No space"):
        library.set_tags("castle", ["x" * 64 for _ in range(99)])


def test_one_name_twice_is_thrown_away_once(capsys):
    library = Library(library_folder())
    for name in ("castle", "bridge"):
        library.add(make(name))
    assert app.run(["library", "rm", "castle", "bridge", "castle", "castle.safetensors"]) == 0
    assert capsys.readouterr().out.count("is in the trash") == 2
    assert sorted(item.name for item in library.trashed()) == ["bridge", "castle"]


@pytest.mark.parametrize("target", ["nowhere", "itself.safetensors", "../outside.safetensors"])
def test_links_in_the_library(library, tmp_path, target):
    library.add(make("castle"))
    outside = tmp_path / "outside.safetensors"
    save(make("outside", 2), outside)
    before = outside.read_bytes()
    link = library.folder / "itself.safetensors"
    link.symlink_to(target)
    is_whole = target.startswith("..")
    assert names(library) == ["castle", "outside" if is_whole else "itself"]
    assert [name for name, _ in library.verify()] == ([] if is_whole else ["itself"])
    library.trash("itself")
    assert names(library) == ["castle"]
    assert library.restore().path == link
    assert os.readlink(link) == target
    if is_whole:
        library.set_tags("itself", ["new"])
        library.rename("itself", "mine")
    assert outside.read_bytes() == before


def test_a_folder_in_the_library_is_left_alone(library):
    library.add(make("castle"))
    folder = library.folder / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(UsageError, match="is a folder and is left as it is"):
        library.trash("folder")
    assert [name for name, _ in library.verify()] == ["folder"]


def test_what_has_left_the_library_is_told_by_whoever_looks_for_it(library):
    entry = library.add(make("Old Fort"))
    id = library.trash("Old Fort")
    for text in (entry.path, "Old Fort", "old-fort"):
        with pytest.raises(UsageError) as caught:
            library.load(text)
        assert str(caught.value) == (
            f"The difference 'Old Fort' is in the trash; 'diffinv library restore {id}' brings it "
            "back."
        )
    library.restore(id)
    library.rename("Old Fort", "New Fort")
    with pytest.raises(UsageError, match="'old-fort' is no longer in the library; it was re"):
        library.load(entry.path)
    with pytest.raises(UsageError, match="elsewhere.safetensors does not exist; check the path"):
        library.load(library.folder.parent / "elsewhere.safetensors")


@pytest.mark.parametrize("kind", ["pipe", "nowhere", "device", "to a pipe"])
def test_what_is_no_file_is_listed_removed_and_restored(library, kind):
    library.folder.mkdir(parents=True, exist_ok=True)
    odd = library.folder / "odd.safetensors"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "to a pipe":
        os.mkfifo(library.folder / "pipe")
        odd.symlink_to("pipe")
    else:
        odd.symlink_to({"nowhere": "nothing", "device": "/dev/zero"}[kind])
    (entry,) = library.entries()
    assert entry.error
    before = os.lstat(odd).st_mode
    id = library.trash(entry.path)
    assert library.entries() == []
    library.restore(id)
    assert os.lstat(odd).st_mode == before
    library.trash("odd")
    assert library.entries() == []


def test_a_folder_named_like_one_is_left_alone_and_said_so(library):
    folder = library.folder / "odd.safetensors"
    folder.mkdir(parents=True)
    for name in ("odd", folder):
        with pytest.raises(UsageError, match="is a folder and is left as it is"):
            library.trash(name)
    assert folder.is_dir()
