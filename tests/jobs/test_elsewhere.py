"""Pictures and results at addresses: fetched, worked on here, and sent, each once."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import fsspec
import pytest
from command_line import is_one_sentence
from PIL import Image

from diffinv.errors import DiffinvError
from diffinv.jobs.elsewhere import bring_missing, bring_picture, bring_results
from diffinv.jobs.manifest import FILE
from diffinv.jobs.planning import plan_application
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.spreading import BatchWork
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


def test_another_machine_goes_on_with_what_is_there(diffinv, address, out):
    """It has nothing of what the first had but the library."""
    command = ("apply", "blue", address, "--out", f"file://{out}")
    assert diffinv(*command).code == 0
    (out / "two.png").unlink()
    for folder in (cache_folder(), data_folder()):
        shutil.rmtree(folder / "elsewhere")
    done = diffinv(*command)
    assert done.code == 0, done.err
    assert "2 of 3 were done before" in done.err
    assert files(out) == NAMES


def test_two_machines_lists_of_results_become_one(tmp_path, out):
    out.mkdir(parents=True)
    (out / FILE).write_text("theirs\nboth\n")
    mirror = mirror_of(f"file://{out}", data_folder() / "elsewhere")
    mirror.folder.mkdir(parents=True)
    (mirror.folder / FILE).write_text("both\nours\n")
    bring_results(f"file://{out}")
    assert (mirror.folder / FILE).read_text() == "theirs\nboth\nours\n"


def test_a_name_that_is_taken_there_is_not_used(diffinv, address, pictures, out):
    out.mkdir(parents=True)
    (out / "one.png").write_bytes(b"somebody's")
    done = diffinv("apply", "blue", f"{address}/one.png", "--out", f"file://{out}")
    assert done.code == 0, done.err
    assert done.out.strip() == f"file://{out}/one-2.png"
    assert (out / "one.png").read_bytes() == b"somebody's"


def test_what_cannot_be_sent_stays_and_is_sent_later(diffinv, address, out, monkeypatch):
    send = Mirror.send

    def refused(self: Mirror, path: Path) -> None:
        if path.name == "two.png":
            raise DiffinvError("No way there.")
        send(self, path)

    monkeypatch.setattr(Mirror, "send", refused)
    command = ("apply", "blue", address, "--out", f"file://{out}")
    done = diffinv(*command)
    assert done.code == 1
    assert "No way there. 1 result could not be sent and is kept in" in done.err, done.err
    assert files(out) == NAMES - {"two.png"}
    monkeypatch.setattr(Mirror, "send", send)
    again = diffinv(*command)
    assert again.code == 0, again.err
    assert "3 of 3 were done before" in again.err
    assert files(out) == NAMES


def test_results_inside_the_pictures_folder_are_no_pictures(diffinv, address):
    command = ("apply", "blue", address, "--out", f"{address}/out")
    assert diffinv(*command).code == 0
    again = diffinv(*command)
    assert "3 of 3 were done before" in again.err, again.err


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


def test_a_mask_that_is_not_here_is_fetched(address, pictures, tmp_path):
    masks, mirror, _ = bring_picture(address)
    shutil.rmtree(masks)
    request = ApplyRequest((), (), tmp_path, mask=masks, mirrors=((masks, mirror.address),))
    bring_missing(request, ())
    assert files(masks) == NAMES


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("file:///no/such/folder", "There are no pictures at 'file:///no/such/folder'"),
        ("nonsense://bucket/folder", "'nonsense://bucket/folder' cannot be read: Protocol"),
    ],
)
def test_an_address_that_leads_nowhere(diffinv, learned, tmp_path, place, said):
    done = diffinv("apply", "blue", place, "--out", tmp_path / "out")
    assert done.code == 1
    assert is_one_sentence(done.err.partition("\n")[2]), done.err
    assert said in done.err


def test_names_that_lead_out_of_the_folder_are_passed_over(tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/good.png", b"picture")
    names = ["/bucket/good.png", "/bucket/../../evil.png", "/bucket/deep/../../evil.png"]
    found = {name: {"name": name, "size": 7, "type": "file"} for name in names}
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: found)
    mirror = mirror_of("memory://bucket", tmp_path / "copies")
    assert mirror.fetch(lambda place: True) == 1
    assert files(tmp_path) == {
        mirror.here(PurePosixPath("good.png")).relative_to(tmp_path).as_posix()
    }


def test_copies_are_for_their_user_alone(diffinv, address, out):
    assert diffinv("apply", "blue", address, "--out", f"file://{out}").code == 0
    copies = list((cache_folder() / "elsewhere").rglob("*.png"))
    assert copies
    assert all(path.stat().st_mode & 0o077 == 0 for path in copies)
