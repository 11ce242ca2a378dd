"""File names are bytes: those that are no text in UTF-8 are worked on like any other."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from diffinv.cli.app import run
from diffinv.jobs.worker import Worker
from diffinv.pictures.reading import list_images

ODD = os.fsdecode(b"caf\xe9 \xff.png")


@pytest.fixture
def odd_folder(folder: Path) -> Path:
    try:
        os.rename(folder / "3.png", folder / ODD)
    except OSError as error:
        if error.errno not in (errno.EILSEQ, errno.EINVAL):
            raise
        pytest.skip("this file system takes names in UTF-8 only")
    return folder


@pytest.mark.parametrize("alone", [False, True])
def test_a_job_does_them_and_tells_of_them(toy, store, learn, applied, odd_folder, capsys, alone):
    store.submit(learn())
    images = (odd_folder / ODD,) if alone else (odd_folder,)
    id = store.submit(applied(images=images)).id
    Worker(store, "cpu", idle=0).run()
    job = store.get(id)
    assert (job.state, job.error) == ("done", None)
    expected = set(images) if alone else set(list_images(odd_folder))
    assert {output.input for output in job.outputs} == expected
    assert odd_folder.parent / "out" / ODD in [output.output for output in job.outputs]
    for arguments in (["list"], ["show", str(id)], ["show", str(id), "--json"]):
        assert run(["jobs", *arguments]) == 0
        capsys.readouterr().out.encode()


def test_one_does_not_end_the_jobs_behind_it(toy, store, learn, applied, odd_folder):
    store.submit(learn())
    ids = [store.submit(applied(images=(odd_folder / ODD,), replace=True)).id for _ in range(2)]
    Worker(store, "cpu", idle=0).run()
    assert [store.get(id).state for id in ids] == ["done", "done"]


def test_done_again_they_are_left_alone(toy, store, learn, applied, odd_folder):
    store.submit(learn())
    first, second = (store.submit(applied()).id for _ in range(2))
    Worker(store, "cpu", idle=0).run()
    assert store.get(first).skipped == 0
    assert store.get(second).skipped == 9


def test_differences_with_such_names_are_listed_found_and_removed(toy, learn, tmp_path, capsys):
    from diffinv.jobs.tasks import run_inversion
    from diffinv.storage.store import Library

    _, path = run_inversion(learn())
    odd = path.with_name(os.fsdecode(b"z\xe9.safetensors"))
    os.link(path, odd)
    library = Library(path.parent)
    assert {entry.path for entry in library.entries()} == {path, odd}
    for command in (["list"], ["list", "--json"], ["search", "\udcff"], ["verify"]):
        assert run(["library", *command]) == 0
        capsys.readouterr().out.encode()
    target = tmp_path / os.fsdecode(b"x\xe9.safetensors")
    assert run(["library", "export", "blue", "--out", str(target)]) == 0
    assert target.is_file()
    assert run(["library", "rm", odd.stem]) == 0
    assert [entry.path for entry in library.entries()] == [path]
