"""The library keeps what it is given, lists what is damaged and finds what is meant."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffinv.difference import Difference, DifferenceInfo, load, save
from diffinv.errors import DiffinvError, UsageError
from diffinv.storage import store
from diffinv.storage.store import Library
from diffinv.system import paths


def make(name: str = "castle", value: float = 1.0) -> Difference:
    info = DifferenceInfo(
        name=name, backbone="diorama", backbone_weights="w", token_space="additive"
    )
    return Difference(
        info,
        tokens=np.full((1, 4), value, np.float32),
        delta=np.ones(2, np.float32),
        losses=np.zeros((1, 3), np.float32),
    )


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "library")


def names(library: Library) -> list[str]:
    return [entry.name for entry in library.entries()]


def test_add_then_load(library):
    entry = library.add(make("Cabin to Castle!", 3))
    assert entry.path == library.folder / "cabin-to-castle.safetensors"
    assert entry.info is not None
    assert entry.info.name == entry.name == "Cabin to Castle!"
    assert library.entries() == [entry]
    assert library.load("Cabin to Castle!").tokens[0, 0] == 3


def test_a_taken_name_is_numbered_in_file_and_title(library):
    added = [library.add(make(value=v)) for v in (1, 2, 3)]
    assert [e.path.stem for e in added] == ["castle", "castle-2", "castle-3"]
    assert names(library) == ["castle", "castle-2", "castle-3"]
    assert [library.load(e.name).tokens[0, 0] for e in added] == [1, 2, 3]


def test_replace_replaces(library):
    first = library.add(make(value=1))
    second = library.add(make(value=2), replace=True)
    assert first.path == second.path
    assert names(library) == ["castle"]
    assert library.load("castle").tokens[0, 0] == 2


def test_a_taken_name_can_be_refused(library):
    library.add(make(value=1), free_name=False)
    with pytest.raises(UsageError, match="already has 'castle'"):
        library.add(make(value=2), free_name=False)
    assert library.load("castle").tokens[0, 0] == 1


@given(st.text())
def test_any_name_gives_a_plain_file_name(name):
    stem = store.slug(name)
    assert stem
    assert len(stem.encode()) <= 200
    assert Path(stem).name == stem
    assert not stem.startswith((".", "-"))


def test_names_from_outside_cannot_leave_the_folder(library):
    entry = library.add(make("../../etc/\x1b[31mpasswd\n"))
    assert entry.path.parent == library.folder
    assert entry.name == "../../etc/passwd"
    assert os.listdir(library.folder) == ["etc-passwd.safetensors"]


def test_a_name_of_nothing_is_refused(library):
    with pytest.raises(UsageError, match="needs a name"):
        library.add(make(" \n"))


def test_a_name_that_is_too_long_is_cut(library):
    assert library.add(make("x" * 10_000)).name == "x" * store.MAX_NAME


def test_a_damaged_file_is_listed_with_its_error(library):
    library.add(make("good"))
    (library.folder / "bad.safetensors").write_bytes(b"rubbish")
    (library.folder / "empty.safetensors").touch()
    (library.folder / "folder.safetensors").mkdir()
    (library.folder / "notes.txt").touch()
    (library.folder / ".hidden.safetensors").touch()
    entries = {entry.name: entry for entry in library.entries()}
    assert list(entries) == ["bad", "empty", "folder", "good"]
    assert entries["good"].error is None
    for name, says in (("bad", "not a safetensors"), ("empty", "empty"), ("folder", "a folder")):
        assert entries[name].info is None
        assert says in (entries[name].error or "")
    with pytest.raises(DiffinvError, match="not a safetensors"):
        library.load("bad")


def test_entries_are_in_natural_order(library):
    for name in ("b10", "b2", "A"):
        library.add(make(name))
    assert names(library) == ["A", "b2", "b10"]


def test_titles_from_files_are_safe_to_print(library, tmp_path):
    library.folder.mkdir()
    save(make("\x1b[31mred\nalert"), library.folder / "x.safetensors")
    assert names(library) == ["red alert"]
    assert library.find("red alert").stem == "x"


def test_a_library_that_is_not_there_yet_is_empty(library):
    assert library.entries() == []
    assert not library.folder.exists()
    with pytest.raises(UsageError, match="diffinv invert"):
        library.find("castle")


def test_find(library, tmp_path, monkeypatch):
    inside = library.add(make("Old Castle")).path
    outside = tmp_path / "elsewhere.safetensors"
    save(make("away"), outside)
    for text in ("Old Castle", "old-castle", "old-castle.safetensors", "OLD castle", inside):
        assert library.find(text) == inside
    assert library.find(str(outside)) == outside
    monkeypatch.chdir(tmp_path)
    assert library.find("elsewhere.safetensors") == Path("elsewhere.safetensors")
    assert library.load(outside).info.name == "away"


def test_find_prefers_the_file_name_and_refuses_to_guess(library):
    for stem in ("one", "two", "castle"):
        path = library.folder / f"{stem}.safetensors"
        save(make("castle" if stem == "castle" else "twin"), path)
    save(make("castle"), library.folder / "copy.safetensors")
    assert library.find("castle").stem == "castle"
    with pytest.raises(UsageError, match="several differences.*one, two"):
        library.find("twin")


def test_find_suggests_the_nearest(library):
    library.add(make("Windmill"))
    with pytest.raises(UsageError, match="did you mean 'Windmill'"):
        library.find("windmil")
    with pytest.raises(UsageError, match="diffinv library list"):
        library.find("zzzzzz")
    with pytest.raises(UsageError, match=r"gone\.safetensors does not exist"):
        library.find("/nowhere/gone.safetensors")


@pytest.mark.parametrize("text", ["", "~nobody-at-all", "a\0b.safetensors", "x" * 5000, ".", "/"])
def test_find_takes_any_text(library, text):
    library.add(make("Windmill"))
    with pytest.raises(UsageError):
        library.find(text)


@pytest.mark.parametrize("replace_it", [False, True])
def test_a_folder_that_cannot_be_written(tmp_path, replace_it):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "library"):
        with pytest.raises(DiffinvError, match="Cannot write"):
            Library(folder).add(make(), replace=replace_it)
    with pytest.raises(DiffinvError, match="cannot be listed"):
        Library(tmp_path / "file").entries()


def test_without_hard_links_nothing_is_overwritten_either(library, monkeypatch):
    def no_links(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("diffinv.system.files.os.link", no_links)
    monkeypatch.setattr(Path, "exists", lambda self: False)  # as if another came in between
    added = [library.add(make(value=v)).path for v in (1, 2)]
    assert [load_value(path) for path in added] == [1, 2]
    found = sorted(name for name in os.listdir(library.folder) if name != ".diffinv.lock")
    assert found == ["castle-2.safetensors", "castle.safetensors"]


def load_value(path: Path) -> float:
    import safetensors.numpy

    return float(safetensors.numpy.load_file(path)["tokens"][0, 0])


ADD_MANY = """
import sys
from pathlib import Path
from tests.test_library import Library, make
library = Library(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for i in range(15):
    library.add(make(value=float(sys.argv[2]) * 100 + i))
"""


def test_two_processes_that_add_one_name_at_once_both_keep_theirs(library):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", ADD_MANY, str(library.folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, str(i)], cwd=root, **pipes) for i in (1, 2)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        worker.communicate()
        assert worker.returncode == 0
    values = {load(entry.path).tokens[0, 0] for entry in library.entries()}
    assert values == {100 * worker + i for worker in (1, 2) for i in range(15)}
    assert len(list(library.folder.glob("*.safetensors"))) == 30
    assert [name for name in os.listdir(library.folder) if name.endswith(".tmp")] == []


def test_adding_again_keeps_unknown_header_entries(library):
    difference = make()
    info = replace(difference.info, extra={"diffinv.mood": "calm"})
    library.add(replace(difference, info=info))
    again = library.add(library.load("castle"), replace=True)
    assert again.info is not None
    assert again.info.extra == {"diffinv.mood": "calm"}


def test_folders_follow_diffinv_home(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFINV_HOME", str(tmp_path))
    assert paths.data_folder() == tmp_path
    assert paths.library_folder() == tmp_path / "library"
    assert paths.cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("DIFFINV_HOME", "")
    assert paths.library_folder() == platformdirs.user_data_path("diffinv", False) / "library"
    assert paths.cache_folder() == platformdirs.user_cache_path("diffinv", False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DIFFINV_HOME", "~/mine")
    assert paths.data_folder() == tmp_path / "mine"
