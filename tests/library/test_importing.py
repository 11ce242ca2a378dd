"""Import: all of the files come in or none, whatever they are and whoever else is at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_library import make

from diffinv.cli import app
from diffinv.difference import save
from diffinv.errors import DiffinvError, UsageError
from diffinv.storage import importing, store
from diffinv.storage.importing import import_file, import_files
from diffinv.storage.names import MAX_NAME
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder


@pytest.fixture
def library():
    return Library(library_folder())


@pytest.fixture
def files(tmp_path):
    """Three differences, and a file that is none."""
    found = [tmp_path / f"{name}.safetensors" for name in ("one", "two", "three", "bad")]
    for number, file in enumerate(found):
        save(make(file.stem, number), file)
    found[-1].write_bytes(b"rubbish")
    return found


def names(library: Library) -> list[str]:
    return [entry.name for entry in library.entries()]


def titled(path: Path, name: str) -> Path:
    """A difference's file with any title, which diffinv would not give it."""
    save(make(name), path)
    return path


def test_several_files(library, files, capsys):
    assert app.run(["library", "import", *map(str, files[:3]), "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == [
        "one", "two", "three",
    ]  # fmt: skip
    assert names(library) == ["one", "three", "two"]


def test_one_bad_file_among_several(library, files, capsys):
    for args in ([], ["--json"]):
        assert app.run(["library", "import", *map(str, files), *args]) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err == (
            f"Error: Nothing was imported, because 1 of 4 files cannot be imported: {files[-1]} "
            "is neither a difference nor a textual inversion that can be read; choose another "
            "file.\n"
        )
    assert not library.folder.exists()


def test_every_file_that_cannot_be_is_named(library, files, tmp_path):
    import_file(library, files[1])
    wrong = [tmp_path / "none.safetensors", tmp_path, files[1], files[3]]
    with pytest.raises(DiffinvError) as error:
        import_files(library, [files[0], *wrong])
    assert error.value.exit_code == 1
    assert "because 4 of 5 files cannot be imported:" in str(error.value)
    assert all(f"{path} is " in str(error.value) for path in wrong)
    assert names(library) == ["two"]


def test_many_files_that_cannot_be_are_not_all_named(library, tmp_path):
    with pytest.raises(DiffinvError) as error:
        import_files(library, [tmp_path / str(number) for number in range(100)])
    assert str(error.value).count("is not a file") == 5
    assert str(error.value).endswith(" 95 more cannot be imported either.")


def test_one_difference_twice_in_one_import(library, files, tmp_path):
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(files[0].read_bytes())
    for twice in (files[0], copy):
        with pytest.raises(DiffinvError, match=f"{twice} is the same as {files[0]}; name only one"):
            import_files(library, [files[0], twice])
    assert not library.folder.exists()


def test_a_name_is_for_one_file_and_must_be_free(library, files):
    with pytest.raises(UsageError, match="--name is for one file"):
        import_files(library, files[:2], "name")
    assert not library.folder.exists()
    import_file(library, files[0], "Taken")
    for name in ("Taken", "taken"):
        with pytest.raises(UsageError, match="already has"):
            import_file(library, files[1], name)
    assert names(library) == ["Taken"]


@pytest.mark.parametrize("name", ["y:3", ":3", "y:nan", "", "\x1b[31m", "x" * (MAX_NAME + 1)])
def test_names_follow_the_rule_for_rename(library, files, tmp_path, name):
    with pytest.raises(UsageError) as told:
        import_file(library, files[0], name)
    assert str(told.value).endswith((".", "one."))
    own = titled(tmp_path / "own.safetensors", name or "\x07")
    with pytest.raises(UsageError, match=r"calls itself .*'diffinv library import --name'\.$"):
        import_file(library, own)
    assert not library.folder.exists()
    assert import_file(library, own, "good").name == "good"


def test_a_numbered_name_is_not_too_long(library, tmp_path):
    for number in range(2):
        entry = library.add(make("x" * MAX_NAME, number))
    assert len(entry.name) == MAX_NAME
    assert entry.name.endswith("x-2")
    assert import_file(Library(tmp_path / "other"), entry.path).name == entry.name


def test_a_disk_that_becomes_full_takes_none(full_disk, tmp_path):
    folder, _ = full_disk
    large = []
    for number in range(3):
        one = replace(make(f"n{number}"), tokens=np.full((20, 1024), number, np.float32))
        large.append(tmp_path / f"{number}.safetensors")
        save(one, large[-1])
    library = Library(folder / "library")
    with pytest.raises(DiffinvError, match="No space left"):
        import_files(library, large)
    assert names(library) == []
    assert len(import_files(library, large[:2])) == 2


@pytest.mark.parametrize("is_written", [False, True])
def test_an_import_that_stops_in_between_leaves_nothing(library, files, monkeypatch, is_written):
    real = store.atomic_create

    def stop(path, data):
        if path.stem == "three":
            if is_written:
                real(path, data)
            raise KeyboardInterrupt
        return real(path, data)

    kept = library.add(make("old", 9))
    monkeypatch.setattr(store, "atomic_create", stop)
    assert app.run(["library", "import", *map(str, files[:3])]) == 130
    assert library.entries() == [kept]


def test_what_another_process_wrote_meanwhile_is_not_taken_back(library, files, monkeypatch):
    def stop(path, _data):
        path.write_bytes(files[1].read_bytes())
        raise KeyboardInterrupt

    library.folder.mkdir()
    monkeypatch.setattr(store, "atomic_create", stop)
    with pytest.raises(KeyboardInterrupt):
        import_file(library, files[0])
    assert (library.folder / "one.safetensors").read_bytes() == files[1].read_bytes()


def test_a_file_that_another_process_imports_meanwhile(library, files, monkeypatch):
    real = importing._read

    def read(file, *args):
        done = real(file, *args)
        library.add(make("one", 0))
        return done

    monkeypatch.setattr(importing, "_read", read)
    with pytest.raises(UsageError, match="is in the library already, as 'one'"):
        import_file(library, files[0])


IMPORT = """
import sys
from diffinv.cli import app
import diffinv.storage.importing
print("ready", flush=True)
sys.stdin.readline()
sys.exit(app.run(["library", "import", sys.argv[1]]))
"""


def test_two_processes_that_import_one_file_at_once(library, files):
    command = [sys.executable, "-c", IMPORT, str(files[0])]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, **pipes, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    assert "is in the library already, as 'one'" in "".join(errors)
    assert names(library) == ["one"]


@pytest.mark.parametrize("kind", ["empty", "folder", "none", "dangling", "loop", "pipe", "long"])
def test_what_is_no_file_to_import(library, tmp_path, kind, capsys):
    file = tmp_path / (f"{kind}.safetensors" if kind != "long" else "x" * 300 + ".safetensors")
    if kind == "empty":
        file.touch()
    elif kind == "folder":
        file.mkdir()
    elif kind == "dangling":
        file.symlink_to(tmp_path / "nothing")
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "pipe":
        os.mkfifo(file)
    code = app.run(["library", "import", str(file)])
    told = capsys.readouterr().err
    assert code in (1, 2)
    assert str(file) in told
    assert told.count("\n") == 1
    assert "--debug" not in told
    assert not library.folder.exists()


def test_a_difference_that_was_cut_off_is_damaged(library, files):
    files[0].write_bytes(files[0].read_bytes()[:-1])
    with pytest.raises(DiffinvError, match="is damaged: its length does not match its header"):
        import_file(library, files[0])


def test_a_link_is_imported_as_a_file(library, files, tmp_path):
    link = tmp_path / "link.safetensors"
    link.symlink_to(files[0])
    entry = import_file(library, link)
    assert entry.name == "one"
    assert not entry.path.is_symlink()


def test_titles_of_any_script(library, tmp_path):
    for number, name in enumerate(["秋の色", "Ünïcode 🍁", "עברית", "a/b\\c", "-x", "..", "CON"]):
        file = tmp_path / f"{number}.safetensors"
        save(replace(make(name, number)), file)
        entry = import_file(library, file)
        assert entry.name == name
        assert library.find(name) == entry.path


def test_a_file_is_looked_at_before_its_name(library, tmp_path, capsys):
    assert app.run(["library", "import", str(tmp_path / "x:2.safetensors")]) == 2
    assert "is not a file; check the path." in capsys.readouterr().err
