"""Pictures and results at addresses: fetched, worked on here, and sent, each once."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import fsspec
import pytest
from command_line import is_one_sentence
from PIL import Image

from diffinv.errors import DiffinvError
from diffinv.jobs.elsewhere import bring_for, bring_masks, bring_picture
from diffinv.jobs.manifest import FILE
from diffinv.jobs.planning import plan_application
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.sending import results_at
from diffinv.jobs.spreading import BatchWork
from diffinv.jobs.tasks import run_application
from diffinv.system.mirrors import Mirror, mirror_of
from diffinv.system.paths import cache_folder, data_folder

NAMES = {"one.png", "two.png", "deeper/one.png"}


@pytest.fixture
def address(learned, pictures) -> str:
    """Where the pictures B are, for somebody who has the difference ``blue``."""
    return f"file://{pictures / 'b'}"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder for results that is 'elsewhere'."""
    return tmp_path / "bucket" / "out"


def files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    return {path.relative_to(folder).as_posix() for path in found}


def test_a_folder_is_fetched_and_results_are_sent(diffinv, address, pictures, out):
    there = f"file://{out}"
    done = diffinv("apply", "blue", address, "--out", there, "--save-masks", "--json")
    assert done.code == 0, done.err
    assert {row["output"] for row in done.json["outputs"]} == {f"{there}/{name}" for name in NAMES}
    assert {row["input"] for row in done.json["outputs"]} == {f"{address}/{n}" for n in NAMES}
    assert files(out) == NAMES | {f"masks/{name}" for name in NAMES}
    here = diffinv("apply", "blue", pictures / "b", "--out", out.parent / "here")
    assert here.code == 0, here.err
    for name in NAMES:
        assert _pixels(out / name) == _pixels(out.parent / "here" / name)


def _pixels(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


def test_the_same_command_does_what_is_new(diffinv, address, pictures, out):
    command = ("apply", "blue", address, "--out", f"file://{out}")
    assert diffinv(*command).code == 0
    again = diffinv(*command)
    assert "3 of 3 were done before" in again.err
    assert "Nothing has changed there" in again.err
    Image.new("RGB", (24, 20), "yellow").save(pictures / "b" / "three.png")
    more = diffinv(*command)
    assert "3 of 4 were done before" in more.err
    assert "1 file fetched" in more.err
    assert files(out) == {*NAMES, "three.png"}


@pytest.fixture
def machine():
    """Switches between machines that have nothing of each other's but the library and the path of
    their home."""
    places = [folder / "elsewhere" for folder in (cache_folder(), data_folder())]
    now = "first"

    def switch(name: str) -> None:
        nonlocal now
        for place in places:
            for old, new in ((place, place.with_name(now)), (place.with_name(name), place)):
                if old.exists():
                    old.rename(new)
        now = name

    return switch


def test_another_machine_goes_on_with_what_is_there(diffinv, address, out, machine):
    command = ("apply", "blue", address, "--out", f"file://{out}")
    assert diffinv(*command).code == 0
    (out / "two.png").unlink()
    machine("second")
    assert f"file://{out}/two.png" in diffinv("jobs", "show", 2).out
    done = diffinv(*command)
    assert done.code == 0, done.err
    assert "2 of 3 were done before" in done.err
    assert files(out) == NAMES
    machine("first")
    assert "3 of 3 were done before" in diffinv(*command).err
    assert len((out / FILE).read_text().splitlines()) == 4


def test_another_machines_newer_result_stays(diffinv, address, pictures, out, machine):
    command = ("apply", "blue", address, "--out", f"file://{out}")
    assert diffinv(*command).code == 0
    Image.new("RGB", (80, 60), "yellow").save(pictures / "b" / "one.png")
    (out / "one.png").unlink()
    machine("second")
    assert diffinv(*command).code == 0
    newer = (out / "one.png").read_bytes()
    machine("first")
    assert "3 of 3 were done before" in diffinv(*command).err
    assert (out / "one.png").read_bytes() == newer


def test_what_others_put_there_stays(diffinv, address, out):
    """Also a result that somebody retouched, and masks of the user's own."""
    command = ("apply", "blue", address, "--out", f"file://{out}", "--save-masks")
    (out / "masks").mkdir(parents=True)
    (out / "masks" / "mine.png").write_bytes(b"mine")
    assert diffinv(*command).code == 0
    (out / "one.png").write_bytes(b"retouched")
    (out / "masks" / "mine.png").write_bytes(b"mine, changed")
    again = diffinv(*command)
    assert "3 of 3 were done before" in again.err
    assert (out / "one.png").read_bytes() == b"retouched"
    assert (out / "masks" / "mine.png").read_bytes() == b"mine, changed"


def test_a_job_that_waited_looks_again_at_what_is_there(diffinv, address, out, machine):
    """Another machine has taken a name and written a line since it was asked for."""
    images, pictures, _ = bring_picture(address)
    results = results_at(f"file://{out}")
    results.sync()
    mirrors = tuple((one.folder, one.address) for one in (pictures, results.mirror))
    request = ApplyRequest(
        (("blue", 1.0),), (images,), results.mirror.folder, backbone="toy", mirrors=mirrors
    )
    machine("second")
    other = ("apply", "blue:0.5", f"{address}/one.png", "--out", f"file://{out}")
    assert diffinv(*other).code == 0
    theirs = (out / "one.png").read_bytes()
    machine("first")
    report = run_application(request)
    assert not report.failures
    assert (out / "one.png").read_bytes() == theirs
    assert files(out) == {*NAMES, "one-2.png"}
    assert len((out / FILE).read_text().splitlines()) == 4


def test_a_name_taken_while_a_result_could_not_be_sent(diffinv, address, out, monkeypatch):
    command = ("apply", "blue", address, "--out", f"file://{out}")
    with monkeypatch.context() as closed:
        closed.setattr(Mirror, "send", refuse)
        assert diffinv(*command).code == 1
    out.mkdir(parents=True)
    (out / "one.png").write_bytes(b"somebody's")
    done = diffinv(*command)
    assert done.code == 0, done.err
    assert f"file://{out}/one-2.png" in done.out
    assert (out / "one.png").read_bytes() == b"somebody's"
    assert files(out) == {*NAMES, "one-2.png"}
    (out / "one.png").unlink()
    assert "3 of 3 were done before" in diffinv(*command).err


def test_a_worker_that_died_after_sending_a_result(diffinv, address, out, tmp_path):
    """It had not said so: what is there is compared, and nothing is sent over another file, not
    even over one of the same size."""
    command = ("apply", "blue", address, "--out", f"file://{out}")
    assert diffinv(*command).code == 0
    (ledger,) = (data_folder() / "elsewhere").glob("*/there.jsonl")
    ledger.unlink()
    swapped = bytes(len((out / "two.png").read_bytes()))
    (out / "two.png").write_bytes(swapped)
    before = (out / "one.png").stat()
    assert "3 of 3 were done before" in diffinv(*command).err
    assert (out / "one.png").stat() == before
    assert (out / "two.png").read_bytes() == swapped
    assert files(out) == {*NAMES, "two-2.png"}


def test_names_are_kept_free_for_what_is_there_no_longer_than_it_is(diffinv, address, out):
    results = results_at(f"file://{out}")
    out.mkdir(parents=True)
    (out / "one.png").write_bytes(b"somebody's")
    results.sync()
    (out / "one.png").unlink()
    (results.mirror.folder.parent / "there.jsonl").write_text('[5]\nnull\n["cut')
    assert results.finish() == []
    assert files(out) == set()
    results.sync()
    assert not results.mirror.places()


def refuse(mirror: Mirror, path: Path) -> None:
    raise DiffinvError("No way there.")


def test_two_machines_lists_of_results_become_one(out):
    out.mkdir(parents=True)
    (out / FILE).write_bytes(b"theirs \xff\nboth\n")
    results = results_at(f"file://{out}")
    results.mirror.folder.mkdir(parents=True)
    (results.mirror.folder / FILE).write_text("both\nours\n")
    results.sync()
    assert (results.mirror.folder / FILE).read_bytes() == b"both\nours\ntheirs \xff\n"


def test_what_was_removed_there_is_not_used(diffinv, address, pictures, out):
    (pictures / "b" / "one.txt").write_text("a green thing")
    assert diffinv("apply", "blue", address, "--out", f"file://{out}").code == 0
    (pictures / "b" / "one.txt").unlink()
    (pictures / "b" / "two.png").unlink()
    other = out.parent / "other"
    assert diffinv("apply", "blue", address, "--out", f"file://{other}").code == 0
    assert files(other) == NAMES - {"two.png"}
    copies = files(cache_folder() / "elsewhere")
    assert not [name for name in copies if name.endswith((".txt", "two.png"))]
    shutil.rmtree(pictures / "b")
    done = diffinv("apply", "blue", address, "--out", f"file://{other}")
    assert done.code == 1
    assert "There are no pictures at" in done.err


def test_results_replace_none_there(diffinv, address, out):
    done = diffinv("apply", "blue", address, "--out", f"file://{out}", "--replace")
    assert done.code == 2
    assert "leave out --replace" in done.err


def test_results_replace_others_here_if_asked(diffinv, pictures, out):
    out.mkdir(parents=True)
    (out / "one.png").write_bytes(b"somebody's")
    command = ("apply", "blue", pictures / "b" / "one.png", "--out", out)
    assert (
        diffinv(
            "invert",
            pictures / "a.png",
            pictures / "a2.png",
            "--name",
            "blue",
            "--backbone",
            "toy",
            "--steps",
            3,
        ).code
        == 0
    )
    assert diffinv(*command, "--replace").code == 0
    assert files(out) == {"one.png"}
    assert _pixels(out / "one.png")


def test_what_is_put_there_while_a_job_runs_stays(diffinv, address, out, monkeypatch):
    send = Mirror.send

    def with_company(mirror: Mirror, path: Path) -> None:
        send(mirror, path)
        if not (out / "two.png").exists():
            (out / "two.png").write_bytes(b"somebody's")

    monkeypatch.setattr(Mirror, "send", with_company)
    done = diffinv("apply", "blue", address, "--out", f"file://{out}")
    assert done.code == 0, done.err
    assert (out / "two.png").read_bytes() == b"somebody's"
    assert files(out) == {*NAMES, "two-2.png"}
    assert f"file://{out}/two-2.png" in done.out


def test_a_retouched_mask_stays(diffinv, address, out):
    command = ("apply", "blue", address, "--out", f"file://{out}", "--save-masks")
    assert diffinv(*command).code == 0
    (out / "masks" / "one.png").write_bytes(b"retouched")
    (out / "one.png").unlink()
    assert diffinv(*command).code == 0
    assert (out / "masks" / "one.png").read_bytes() == b"retouched"
    assert (out / "one.png").exists()


def test_results_among_the_pictures(diffinv, address, pictures):
    done = diffinv("apply", "blue", f"{address}/deeper", "--out", f"{address}/deeper")
    assert done.code == 0, done.err
    assert files(pictures / "b" / "deeper") == {"one.png", "one-2.png"}


def test_a_name_that_is_taken_there_is_not_used(diffinv, address, pictures, out):
    out.mkdir(parents=True)
    (out / "one.png").write_bytes(b"somebody's")
    done = diffinv("apply", "blue", f"{address}/one.png", "--out", f"file://{out}")
    assert done.code == 0, done.err
    assert done.out.strip() == f"file://{out}/one-2.png"
    assert (out / "one.png").read_bytes() == b"somebody's"


def test_what_cannot_be_sent_stays_and_is_sent_later(diffinv, address, out, monkeypatch):
    """After the first failure it is tried once more at the end, and not for every result."""
    tries = []

    def refused(mirror: Mirror, path: Path) -> None:
        tries.append(path)
        refuse(mirror, path)

    command = ("apply", "blue", address, "--out", f"file://{out}")
    with monkeypatch.context() as closed:
        closed.setattr(Mirror, "send", refused)
        done = diffinv(*command)
    assert done.code == 1
    assert "No way there. 3 results cannot be sent" in done.err, done.err
    assert "file:" not in done.out
    assert len(tries) == 2
    again = diffinv(*command)
    assert again.code == 0, again.err
    assert "3 of 3 were done before" in again.err
    assert files(out) == NAMES


def test_results_and_masks_inside_the_pictures_folder_are_no_pictures(
    diffinv, address, pictures, out
):
    inside = ("apply", "blue", address, "--out", f"{address}/out", "--save-masks")
    assert diffinv(*inside).code == 0
    assert diffinv("apply", "blue", address, "--out", f"file://{out}").code == 0
    again = diffinv(*inside)
    assert "3 of 3 were done before" in again.err, again.err
    masks = f"{address}/white"
    same = ("apply", "blue:0.5", address, "--out", address, "--save-masks", "--mask", masks)
    for name in NAMES:
        (pictures / "b" / "white" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (24, 20), 255).save(pictures / "b" / "white" / name)
    shutil.rmtree(pictures / "b" / "out")
    first = diffinv(*same)
    assert first.code == 0, first.err
    assert files(pictures / "b" / "masks") == {"one-2.png", "two-2.png", "deeper/one-2.png"}


def test_prompts_and_masks_come_along(diffinv, address, pictures, out):
    (pictures / "b" / "one.txt").write_text("a green thing")
    masks = out.parent / "white"
    for name in NAMES:
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (24, 20), 255).save(masks / name)
    done = diffinv("apply", "blue", address, "--out", f"file://{out}", "--mask", f"file://{masks}")
    assert done.code == 0, done.err
    copies = list((cache_folder() / "elsewhere").rglob("one.txt"))
    assert [copy.read_text() for copy in copies] == ["a green thing"]


def test_a_machine_without_the_pictures_fetches_them(diffinv, address, pictures, tmp_path):
    """As a worker of a cluster does, whose disk is its own."""
    (pictures / "b" / "two.txt").write_text("a red thing")
    images, mirror, _ = bring_picture(address)
    request = ApplyRequest(
        differences=(("blue", 1.0),),
        images=(images,),
        out=tmp_path / "out",
        mirrors=((mirror.folder, mirror.address),),
    )
    plan = plan_application(request)
    stamps = {picture: plan.rounds[0].manifest.stamp(picture) for picture, _ in plan.targets}
    shutil.rmtree(cache_folder() / "elsewhere")
    work = BatchWork(request, plan)
    ((batch, *_),) = work(None)
    assert files(images) == {*NAMES, "two.txt"}
    (images / "one.png").unlink()
    outcome = work((0, batch))
    assert not outcome.failures
    assert {one.source: one.stamp for one in outcome.finished} == stamps


def test_a_machine_with_older_pictures_fetches_them_again(address, pictures, tmp_path):
    path, mirror, _ = bring_picture(f"{address}/one.png")
    request = ApplyRequest(
        (), (path,), tmp_path, mask=path, mirrors=((mirror.folder, mirror.address),)
    )
    for number, bring in enumerate(
        (lambda: bring_for(request, [path]), lambda: bring_masks(request))
    ):
        Image.new("RGB", (24, 20), (number, 0, 0)).save(pictures / "b" / "one.png")
        bring()
        assert _pixels(path) == _pixels(pictures / "b" / "one.png")


def test_copies_that_were_cleared_away_are_fetched_again(diffinv, address, out):
    images, mirror, _ = bring_picture(address)
    shutil.rmtree(images)
    request = ApplyRequest(
        (("blue", 1.0),),
        (images,),
        out,
        backbone="toy",
        mask=images,
        mirrors=((mirror.folder, mirror.address),),
    )
    run_application(request)
    assert files(images) == NAMES


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("file:///no/such/folder", 1, "There are no pictures at 'file:///no/such/folder'"),
        ("nonsense://bucket/folder", 1, "'nonsense://bucket/folder' cannot be read: Protocol"),
        ("s3://", 2, "'s3://' names no folder; write it as s3://BUCKET/FOLDER"),
        ("file:///", 2, "names no folder"),
    ],
)
def test_an_address_that_leads_nowhere(diffinv, learned, tmp_path, place, code, said):
    done = diffinv("apply", "blue", place, "--out", tmp_path / "out")
    assert done.code == code
    assert is_one_sentence(done.err.partition("\n")[2]), done.err
    assert said in done.err


def test_names_that_no_file_can_have_are_passed_over(tmp_path, monkeypatch):
    """They lead out of the folder, are those of folders, or would be both."""
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/good.png", b"picture")
    names = ["good.png", "../../evil.png", "deep/../../evil.png", "a//b.png", "sub/"]
    found = {f"/bucket/{name}": {"size": 7, "type": "file"} for name in (*names, "x", "x/y.png")}
    found["/bucket/marker"] = {"size": 0, "type": "directory"}
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: found)
    mirror = mirror_of("memory://bucket", tmp_path / "copies")
    assert set(mirror.listed()) == {PurePosixPath("good.png"), PurePosixPath("x/y.png")}
    assert mirror.fetch(lambda place: place.name == "good.png") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        mirror.here(PurePosixPath("good.png"))
    ]


def test_a_change_within_a_second_to_the_same_size_is_noticed(tmp_path, monkeypatch):
    """By the mark that a server gives a file's state, with or without a time."""
    memory = fsspec.filesystem("memory")
    mirror = mirror_of("memory://marked", tmp_path / "copies")
    for when in ({"LastModified": "2026-11-28T12:00:00+00:00"}, {}):
        for content in (b"one", b"two"):
            memory.pipe("/marked/a.png", content)
            found = {"size": 3, "type": "file", "ETag": content.decode(), **when}
            monkeypatch.setattr(
                type(memory), "find", lambda *_, f=found, **__: {"/marked/a.png": f}
            )
            assert mirror.fetch(lambda place: True) == 1
            assert mirror.fetch(lambda place: True) == 0
            assert mirror.here(PurePosixPath("a.png")).read_bytes() == content


def test_copies_are_for_their_user_alone(diffinv, address, out):
    assert diffinv("apply", "blue", address, "--out", f"file://{out}").code == 0
    copies = list((cache_folder() / "elsewhere").rglob("*.png"))
    assert copies
    assert all(path.stat().st_mode & 0o077 == 0 for path in copies)
