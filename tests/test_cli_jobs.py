"""``diffinv jobs`` and ``diffinv library``, and how invert and apply behave as jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from command_line import MODULES, ROOT, is_one_sentence, leave_once_learning
from installing import install
from PIL import Image
from test_library import make

from diffinv.cli.drawing import half_blocks
from diffinv.cli.following import _Follower
from diffinv.cli.output import print_table
from diffinv.difference import save
from diffinv.jobs import launch
from diffinv.jobs.process import this_process
from diffinv.jobs.store import JobStore
from diffinv.method.settings import MAX_LEARNING_STEPS
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder


@pytest.fixture
def invert(diffinv, pictures):
    """Learn a difference from the two pictures."""

    def run(name: str, *more: object):
        pair = (pictures / "a.png", pictures / "a2.png")
        return diffinv("invert", *pair, "--backbone", "toy", "--steps", 2, "--name", name, *more)

    return run


# Jobs


def test_every_command_leaves_a_job(learned, diffinv, pictures, tmp_path):
    done = diffinv("apply", "blue", pictures / "b", "--out", tmp_path / "out", "--steps", 2)
    assert done.code == 0
    rows = diffinv("jobs", "list", "--json").json
    assert [(row["id"], row["kind"], row["state"]) for row in rows] == [
        (2, "apply", "done"),
        (1, "invert", "done"),
    ]
    assert rows[1]["difference"] == {"name": "blue", "path": learned["path"]}
    assert len(rows[0]["outputs"]) == 3
    listing = diffinv("jobs", "list").out
    assert "3 pictures" in listing
    assert "blue on b" in listing
    shown = diffinv("jobs", "show", 1)
    assert "loss" in shown.out
    assert "log.txt" in shown.out
    assert diffinv("jobs", "show", 1, "--json").json["losses"]
    assert diffinv("jobs", "watch", 1, "--json").json["state"] == "done"
    one = (pictures / "b" / "one.png", "--out", tmp_path / "again", "--steps", 2)
    assert diffinv("apply", "blue:0.5", *one).code == 0
    latest = diffinv("jobs", "list").out.splitlines()[1]
    assert "blue ×0.5 on one.png" in latest
    assert latest.endswith("1 picture")


def test_detached_it_prints_the_number(invert, diffinv, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "start", lambda *_: None)
    done = invert("x", "--detach")
    assert (done.code, done.out) == (0, "1\n")
    assert "diffinv jobs watch 1" in done.err
    assert invert("y", "--detach", "--json").json["job"] == 2
    assert [row["state"] for row in diffinv("jobs", "list", "--json").json] == ["queued"] * 2


def test_cancel_resume_retry_move_clear(invert, diffinv, monkeypatch):
    real = launch.start
    monkeypatch.setattr(launch, "start", lambda *_: None)
    for name in ("one", "two", "three"):
        invert(name, "--detach")
    assert diffinv("jobs", "move", 3, "up").code == 0
    assert [row["id"] for row in diffinv("jobs", "list", "--json").json] == [1, 3, 2]
    assert "Job 2 was moved first." in diffinv("jobs", "move", 2, "first").out
    assert diffinv("jobs", "move", 1, "last").code == 0
    assert [row["id"] for row in diffinv("jobs", "list", "--json").json] == [2, 3, 1]
    assert diffinv("jobs", "move", 1, "first").code == 0
    assert "is cancelled" in diffinv("jobs", "cancel", 1).out
    assert is_one_sentence(diffinv("jobs", "move", 1, "up").err)
    assert diffinv("jobs", "retry", 1, "--json").json["id"] == 4
    monkeypatch.setattr(launch, "start", real)
    assert diffinv("jobs", "resume", 1).code == 0
    states = {row["id"]: row["state"] for row in diffinv("jobs", "list", "--json").json}
    assert states == {1: "done", 2: "done", 3: "done", 4: "failed"}  # the name is taken by then
    assert "already has a difference 'one'" in diffinv("jobs", "list").out
    assert diffinv("jobs", "clear", "--json").json == {"cleared": 4}
    assert diffinv("jobs", "list", "--json").json == []
    assert "There are no jobs" in diffinv("jobs", "list").err


def test_a_paused_queue_says_so_and_goes_on(invert, diffinv, monkeypatch):
    assert diffinv("jobs", "pause", "--json").json == {"paused": True}
    assert "The queue is paused" in invert("one", "--detach").err
    listing = diffinv("jobs", "list")
    assert "The queue is paused" in listing.err
    assert "queued" in listing.out
    assert diffinv("jobs", "unpause").out == "The queue goes on.\n"
    assert diffinv("jobs", "show", 1, "--json").json["state"] == "done"


def test_jobs_that_are_held_are_not_waited_for(invert, monkeypatch):
    monkeypatch.setattr(launch, "start", lambda *_: None)
    for name in ("held", "two", "three", "four"):
        invert(name, "--detach")
    store = JobStore()
    with store._data.write() as db:
        db.execute("UPDATE jobs SET held = 1 WHERE id = 1")
    waiting = _Follower(store, lambda _: None, ())._waiting
    assert waiting(store.get(1)).startswith("The queue is paused, because")
    assert waiting(store.get(2)) == ""
    assert waiting(store.get(3)) == "Waiting for 1 other job."
    assert waiting(store.get(4)) == "Waiting for 2 other jobs."


def test_errors_of_a_job_are_those_of_the_command(invert, diffinv, pictures, monkeypatch):
    from toy_model import Toy

    def fail(*_):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(Toy, "predict", fail)
    done = invert("x")
    assert done.code == 1
    assert is_one_sentence(done.err.splitlines()[-1])
    assert "RuntimeError: first line second line (details: " in done.err
    assert done.out == ""


def test_an_interrupted_job_is_an_error(invert, diffinv, monkeypatch):
    def die(store, device):
        store.register(device, this_process())
        store.claim(device, this_process())
        store.leave(device, this_process(), force=True)

    monkeypatch.setattr(launch, "start", die)
    done = invert("x")
    assert done.code == 1
    assert "diffinv jobs resume 1" in done.err
    assert diffinv("jobs", "watch", 1).code == 1
    JobStore().cancel(1)
    done = diffinv("jobs", "watch", 1)
    assert done.code == 1
    assert "cancelled" in done.out
    assert "'diffinv jobs resume 1' goes on with it" in done.err


def test_the_same_application_twice_is_followed_and_not_started_again(
    learned, diffinv, pictures, tmp_path, monkeypatch
):
    start = launch.start
    monkeypatch.setattr(launch, "start", lambda *_: None)
    apply = ("apply", "blue", pictures / "b", "--out", tmp_path / "out", "--steps", 2)
    assert diffinv(*apply, "--detach").out == "2\n"
    again = diffinv(*apply, "--detach")
    assert (again.code, again.out) == (0, "2\n")
    assert "This is waiting already, as job 2; it is not started twice." in again.err
    monkeypatch.setattr(launch, "start", start)
    followed = diffinv(*apply)
    assert followed.code == 0
    assert len(followed.out.splitlines()) == 3
    assert [row["id"] for row in diffinv("jobs", "list", "--json").json] == [2, 1]


def test_what_was_interrupted_meanwhile_is_told_once_with_its_pictures(
    learned, diffinv, pictures, tmp_path
):
    apply = ("apply", "blue", pictures / "b", "--steps", 2, "--out")
    assert diffinv(*apply, tmp_path / "out").code == 0
    with JobStore()._data.write() as db:
        db.execute(
            "UPDATE jobs SET state = 'interrupted', news = 1, error = 'It was interrupted.', "
            "progress = json_set(progress, '$.pictures', 5) WHERE id = 2"
        )
    told = "3 of 5 done. It was interrupted; 'diffinv jobs resume 2' goes on with it."
    assert told in diffinv("jobs", "list").out
    assert f"While you were away: {told}" in diffinv(*apply, tmp_path / "other").err
    assert "While you were away" not in diffinv(*apply, tmp_path / "third").err


def test_watching_gives_the_exit_code_of_waiting(invert, learned, diffinv, pictures, tmp_path):
    token_space = invert("x", "--token-space", "input")  # which the toy refuses once it is loaded
    assert token_space.code == 2
    (pictures / "b" / "two.png").write_text("no picture")
    apply = ("apply", "blue", "--out", tmp_path / "out", "--steps", 2)
    assert diffinv(*apply, pictures / "b").code == 1
    assert "2 of 3 pictures, 1 failed" in diffinv("jobs", "list").out
    codes = [diffinv("jobs", "watch", id).code for id in (1, 2, 3)]
    assert codes == [0, 2, 1]
    failed = diffinv("jobs", "watch", 2, "--json")
    assert (failed.code, failed.json["state"]) == (2, "failed")
    assert is_one_sentence(failed.err)


def test_paths_are_shown_as_they_were_given(learned, diffinv, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    b = Path("pictures/b")
    done = diffinv("apply", "blue", b, "pictures/a.png", "--out", "out", "--steps", 2, "--json")
    rows = {(row["input"], row["output"]) for row in done.json["outputs"]}
    assert ("pictures/b/deeper/one.png", "out/deeper/one.png") in rows
    assert ("pictures/a.png", "out/a.png") in rows
    again = diffinv("apply", "blue", b, "pictures/a.png", "--out", "out", "--steps", 2, "--json")
    assert again.json == done.json


def test_a_damaged_list_is_named_once(learned, diffinv):
    path = Path(os.environ["DIFFINV_HOME"]) / "jobs.sqlite"
    path.write_bytes(b"nonsense" * 1000)
    for sidecar in path.parent.glob("jobs.sqlite-*"):
        sidecar.unlink()
    first = diffinv("jobs", "list", "--json")
    assert (first.code, first.json) == (0, [])
    assert "set aside as jobs.damaged-" in first.err
    assert diffinv("jobs", "list", "--json").err == ""


@pytest.mark.parametrize("where", ["invert", "jobs watch"])
def test_ctrl_c_leaves_the_job_to_go_on(pictures, tmp_path, where):
    install(tmp_path / "site", "toy")
    path = [str(tmp_path / "site"), str(MODULES), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}

    def start(*args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", "from diffinv.cli import main; main()", *map(str, args)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    args = ["invert", pictures / "a.png", pictures / "a2.png", "--backbone", "toy"]
    args += ["--steps", MAX_LEARNING_STEPS]
    if where == "jobs watch":
        assert start(*args, "--detach").communicate(timeout=60)[0] == "1\n"
        args = ["jobs", "watch", 1]
    front = start(*args)
    out, err = leave_once_learning(front)
    assert out == ""
    assert err.splitlines()[-1].startswith("Job 1 goes on: 'diffinv jobs watch 1'")
    store = JobStore()
    assert store.get(1).state == "running"
    assert store.worker(store.get(1).device).is_alive()
    assert not store.get(1).cancelling


# Library


def test_a_listing_fits_the_terminal_and_tells_equal_names_apart(diffinv, monkeypatch, capsys):
    library = Library(library_folder())
    long = "y" * 150
    for name, file in (("castle", "one"), ("castle", "two"), (long, "three")):
        save(make(name), library.folder / f"{file}.safetensors")
    listing = diffinv("library", "list").out
    assert "castle (one)" in listing
    assert "castle (two)" in listing
    assert f"{long} " in listing
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(("NAME", "LEARNED"), [(long, "2026-11-25 01:07"), ("castle", "")], cut=True)
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("yyy")
    assert lines[1].endswith("…  2026-11-25 01:07")


def test_a_name_that_is_too_long_is_refused_at_once(invert, diffinv):
    done = invert("x" * 201)
    assert (done.code, is_one_sentence(done.err)) == (2, True)
    assert diffinv("jobs", "list", "--json").json == []


def test_search_tag_rename(invert, diffinv):
    for name in ("castle", "bridge"):
        invert(name)
    tagged = diffinv("library", "tag", "castle", "building", "old town", "--json").json
    assert tagged["tags"] == ["building", "old town"]
    found = diffinv("library", "search", 'tag:"OLD town"', "cas", "--json").json
    assert [row["name"] for row in found] == ["castle"]
    assert "castle" in diffinv("library", "search", "backbone:toy").out
    for words in (("-tag:nothing",), ("cas", "-horse", "--limit", 1), ("-horse", "--", "castle")):
        assert diffinv("library", "search", "--json", *words).json
    assert "Nothing" in diffinv("library", "search", "-castle", "-bridge").err
    assert "No such option '--limt'" in diffinv("library", "search", "--limt", 3).err
    none = diffinv("library", "search", "created:<2020")
    assert (none.code, none.out, none.err) == (0, "", "Nothing was found.\n")
    wrong = diffinv("library", "search", "is:banana")
    assert (wrong.code, wrong.out, is_one_sentence(wrong.err)) == (2, "", True)
    none = diffinv("library", "search", "foo:bar", "--json")
    assert (none.code, none.json) == (0, [])
    assert none.err == (
        "Nothing was found; 'foo:' is not a filter, the filters are tag:, backbone:, model:, "
        "created: and is:.\n"
    )
    assert diffinv("library", "tag", "castle", "--remove", "building").out.endswith("old town.\n")
    assert diffinv("library", "rename", "castle", "Fort", "--json").json["name"] == "Fort"
    assert is_one_sentence(diffinv("library", "rename", "Fort", "bridge").err)
    rows = diffinv("library", "list", "--json", "--sort", "newest").json
    assert {row["name"] for row in rows} == {"Fort", "bridge"}


def test_remove_and_restore(invert, diffinv):
    invert("castle")
    (removed,) = diffinv("library", "rm", "castle", "--json").json
    assert diffinv("library", "list", "--json").json == []
    (item,) = diffinv("library", "trash", "--json").json
    assert item["id"] == removed["trash_id"]
    assert "castle" in diffinv("library", "trash").out
    assert diffinv("library", "restore").out == "'castle' is back.\n"
    assert [row["name"] for row in diffinv("library", "list", "--json").json] == ["castle"]
    assert "brings it back" in diffinv("library", "rm", "castle").out
    assert diffinv("library", "restore", "castle", "--json").json["name"] == "castle"
    assert "empty" in diffinv("library", "trash").err


def test_export_import_verify(invert, diffinv, tmp_path):
    invert("castle")
    target = diffinv("library", "export", "castle", "--out", tmp_path, "--json").json["file"]
    assert target == str(tmp_path / "castle.safetensors")
    assert is_one_sentence(diffinv("library", "export", "castle", "--out", target).err)
    again = diffinv("library", "export", "castle", "--out", target, "--replace")
    assert again.out.splitlines()[0] == target
    for folder in ("new", "newer.d/", "a/b"):
        out = f"{tmp_path}/{folder}"
        made = diffinv("library", "export", "castle", "--out", out, "--json").json["file"]
        assert made == str(tmp_path / folder / "castle.safetensors")
    assert diffinv("library", "export", "nothing", "--out", tmp_path / "none").code == 2
    assert not (tmp_path / "none").exists()
    refused = diffinv("library", "export", "castle", "--out", f"{target}/")
    assert (refused.code, is_one_sentence(refused.err)) == (2, True)
    assert "already, as 'castle'" in diffinv("library", "import", target).err
    (again,) = diffinv("library", "import", target, "--name", "copy", "--json").json
    assert again["name"] == "copy"
    assert "same tensors: castle, copy" in diffinv("library", "verify").out
    damaged = Path(again["path"])
    damaged.write_bytes(damaged.read_bytes()[:-5] + b"xxxxx")
    done = diffinv("library", "verify", "--json")
    assert (done.code, [row["name"] for row in done.json["damaged"]]) == (1, ["copy"])
    assert done.json["duplicates"] == [["castle", "copy"]]
    assert diffinv("library", "verify").code == 1
    assert "damaged" in diffinv("library", "import", damaged, "--name", "y").err


def test_show_draws_the_pair_only_for_eyes(learned, diffinv):
    assert "▀" not in diffinv("library", "show", "blue").out
    import pty

    main, other = pty.openpty()
    done = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from diffinv.cli import main; main()",
            "library",
            "show",
            "blue",
        ],
        stdout=other,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "COLORTERM": "truecolor"},
    )
    os.close(other)
    seen = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # all of it was read
            break
        if not part:
            break
        seen += part
    assert done.wait(60) == 0, done.stderr.read()
    text = seen.decode()
    assert text.count("▀") > 100
    assert "preview" in text
    assert "sha256" in text


def test_half_blocks_have_the_picture_s_colours():
    image = Image.new("RGB", (4, 4), "red")
    image.paste("blue", (0, 2, 4, 4))
    text = half_blocks(image, 4)
    assert text.plain == "▀▀▀▀\n▀▀▀▀\n"
    styles = [span.style for span in text.spans]
    assert [str(style) for style in (styles[0], styles[-1])] == [
        "#ff0000 on #ff0000",
        "#0000ff on #0000ff",
    ]


def test_json_of_a_difference_that_was_learned_by_a_job(learned, diffinv):
    (entry,) = Library(library_folder()).entries()
    shown = diffinv("library", "show", "blue", "--json").out
    assert json.loads(shown)["hash_sha256"] == learned["hash_sha256"] == entry.info.hash_sha256


def test_a_batch_too_large_for_the_device_is_halved_once(learned, diffinv, pictures, monkeypatch):
    wanted = ["apply", "blue", pictures / "b", "--steps", 2, "--out"]
    monkeypatch.setenv("TOY_ROOM", "1")
    done = diffinv(*wanted, pictures / "halved")
    assert done.code == 0
    assert "now 1 picture at once" in done.err
    assert len(list((pictures / "halved").rglob("*.png"))) == 3
    monkeypatch.setenv("TOY_ROOM", "0")
    failed = diffinv(*wanted, pictures / "none")
    assert failed.code == 1
    assert "ran out of memory with 1 picture at once; use --memory low" in failed.err


def test_memory_is_told_to_the_backbone(learned, diffinv, pictures, monkeypatch):
    import os

    monkeypatch.setenv("DIFFINV_MEMORY", "auto")
    done = diffinv(
        "apply", "blue", pictures / "b", "--steps", 2, "--out", pictures / "o", "--memory", "low"
    )
    assert (done.code, os.environ["DIFFINV_MEMORY"]) == (0, "low")
    assert diffinv("apply", "blue", pictures / "b", "--out", "o", "--memory", "much").code == 2


# Manifests


def _refused(done, code: int, said: str) -> None:
    assert done.code == code
    assert is_one_sentence(done.err), done.err
    assert said in done.err


def test_every_row_of_a_manifest_is_a_job(diffinv, pictures):
    rows = "id,A,A_prime\nday,a.png,a2.png\nnight,a2.png,a.png\n"
    (pictures / "pairs.csv").write_text(rows)
    command = ("invert", "--manifest", pictures / "pairs.csv", "--backbone", "toy", "--steps", 2)
    done = diffinv(*command)
    assert (done.code, done.out) == (0, "2 of 2 differences are in the library.\n"), done.err
    assert [row["state"] for row in diffinv("jobs", "list", "--json").json] == ["done", "done"]
    again = diffinv(*command)
    assert "2 of 2 are in the library already." in again.err
    assert len(diffinv("jobs", "list", "--json").json) == 2
    (pictures / "pairs.csv").write_text("id,A,A_prime\nday,a2.png,a.png\n")
    _refused(diffinv(*command), 1, "from other pictures")


def test_rows_that_are_learned_at_once_are_one_job(diffinv, pictures):
    rows = "id,A,A_prime\nday,a.png,a2.png\nnight,a2.png,a.png\n"
    (pictures / "pairs.csv").write_text(rows)
    command = ("invert", "--manifest", pictures / "pairs.csv", "--backbone", "toy", "--steps", 2)
    done = diffinv(*command, "--batch", 2)
    assert (done.code, done.out) == (0, "2 of 2 differences are in the library.\n"), done.err
    (job,) = diffinv("jobs", "list", "--json").json
    assert (job["kind"], job["state"]) == ("invert-many", "done")
    assert "pairs.csv: 2 differences" in diffinv("jobs", "list").out
    assert "2 differences" in diffinv("jobs", "show", job["id"]).out
    again = diffinv(*command, "--batch", 2)
    assert "2 of 2 are in the library already." in again.err
    assert len(diffinv("jobs", "list", "--json").json) == 1
    _refused(diffinv("invert", pictures / "a.png", pictures / "a2.png", "--batch", 2), 2, "--batch")
    odd = "id,A,A_prime\ndusk:2,a.png,a2.png\ndusk,a.png,a2.png\nDusk!,a2.png,a.png\n"
    (pictures / "pairs.csv").write_text(odd)
    done = diffinv(*command, "--batch", 3)
    assert (done.code, done.out) == (1, "2 of 2 differences are in the library.\n")
    assert "line 4 has an id, 'Dusk-', for which another row takes the file" in done.err


def test_a_manifest_goes_without_pictures_on_the_command_line(diffinv, pictures):
    pair = (pictures / "a.png", pictures / "a2.png")
    _refused(diffinv("invert"), 2, "--manifest")
    _refused(diffinv("invert", *pair, "--on", "ray"), 2, "--manifest")
    (pictures / "pairs.csv").write_text("id,A,A_prime\none,a.png,\n")
    command = ("invert", "--manifest", pictures / "pairs.csv")
    _refused(diffinv(*command), 2, "line 2 has no A or no A_prime")
    _refused(diffinv(*command, "--name", "x"), 2, "leave out")
    _refused(diffinv(*command, *pair), 2, "leave out")
    other = ("invert", "--manifest", pictures / "a.png")
    _refused(diffinv(*other), 2, "a .csv or a .jsonl")
