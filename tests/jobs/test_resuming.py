"""Jobs that are killed go on where they were, and end as if nothing had happened."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from working import pictures_in, start_worker

from diffinv.difference import load
from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs import checkpointing as keeper
from diffinv.jobs import tasks
from diffinv.jobs.again import provenance_of
from diffinv.jobs.job_rows import CHECKPOINT
from diffinv.jobs.manifest import FILE
from diffinv.jobs.reporter import JobStopped
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.tasks import run_application, run_inversion
from diffinv.jobs.worker import Worker
from diffinv.jobs.workspace import Workspace
from diffinv.method.inversion import Inversion
from diffinv.method.settings import ApplicationSettings
from diffinv.running.progress import Progress
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder

STEPS = 120


def learned_tokens() -> dict[str, bytes]:
    entries = Library(library_folder()).entries()
    return {entry.name: load(entry.path).tokens.tobytes() for entry in entries}


def random_deaths(seed: int) -> list[str]:
    """Ten ways to die: between and within steps, and while a checkpoint is written."""
    rng = random.Random(seed)
    steps = [f"predict:{rng.randint(1, 15)}" for _ in range(6)]
    writes = [f"{rng.choice(['os.rename', 'open'])}:{rng.randint(1, 20)}" for _ in range(4)]
    deaths = steps + writes
    rng.shuffle(deaths)
    return deaths


def test_killed_ten_times_it_ends_with_the_same_tokens_bit_for_bit(toy, store, learn):
    run_inversion(learn("whole", "mortal", steps=STEPS, init_std=0.1))
    id = store.submit(learn("killed", "mortal", steps=STEPS, init_std=0.1)).id
    seen = [0]
    for number, death in enumerate(random_deaths(seed=4)):
        worker = start_worker(
            store, "--idle", "0", "--checkpoint-every", "0", DIFFINV_TEST_DEATH=death
        )
        assert worker.wait(60) == -signal.SIGKILL, death
        job = store.get(id)
        seen.append(steps_saved(job.folder))
        if number % 3 < 2:  # another worker goes on by itself
            assert (job.state, job.deaths) == ("queued", number % 3 + 1), death
            continue
        assert job.state == "interrupted", (death, job.error)
        assert job.error.startswith(f"Job {id} was interrupted")
        store.resume(id)
    assert seen == sorted(seen)
    assert 10 < seen[-1] < STEPS
    Worker(store, "cpu", idle=0).run()
    job = store.get(id)
    assert (job.state, job.attempts, len(job.losses)) == ("done", 11, STEPS)
    tokens = learned_tokens()
    assert tokens["killed"] == tokens["whole"]
    assert any(tokens["whole"])


def steps_saved(folder: Path) -> int:
    """The steps in a job's checkpoint."""
    from safetensors import safe_open

    if not (folder / CHECKPOINT).exists():
        return 0
    with safe_open(folder / CHECKPOINT, "pt") as file:
        names = set(file.keys())
        return len(file.get_tensor("losses")) if "losses" in names else 0


@pytest.mark.parametrize("at", [1, 2, 3, 5, 6])
def test_a_state_goes_into_another_run(tiny_backbone, fixed_encoder, at):
    from method.test_inversion import FAST, pair

    settings = [[[pair()]], FAST.__class__(steps=6, lr=0.05, init_std=0.1), [3]]
    whole = Inversion(tiny_backbone, fixed_encoder, *settings)
    while not whole.is_done:
        whole.advance()
        if whole.step == at:
            state = whole.state()
    other = Inversion(tiny_backbone, fixed_encoder, *settings)
    torch.manual_seed(99)
    other.load_state(state)
    assert other.step == at
    assert other.state().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in other.state().items())
    while not other.is_done:
        other.advance()
    (wanted,), (got,) = whole.results(), other.results()
    assert torch.equal(wanted.tokens, got.tokens)
    assert torch.equal(wanted.losses, got.losses)
    assert wanted.best_step == got.best_step


def test_a_checkpoint_of_something_else_is_not_used(toy, learn, tmp_path, store):
    workspace = Workspace(tmp_path / "work", every=0)
    interrupted(learn("one", steps=8), workspace)
    again = Workspace(tmp_path / "work", resumed=True, every=0)
    warnings: list[str] = []
    run_inversion(learn("two", steps=8, seed=3), lambda e: note(e, warnings), None, again)
    assert warnings == [
        "The pictures, the models or the settings have changed; learning starts again."
    ]
    run_inversion(learn("three", steps=8, seed=3))
    tokens = learned_tokens()
    assert tokens["two"] == tokens["three"]


def note(event, warnings: list[str]) -> None:
    if event.warning:
        warnings.append(event.warning)


class Stopped(Exception):  # noqa: N818
    pass


def interrupted(request, workspace: Workspace, step: int = 5) -> None:
    """Learn up to a step."""

    def stop(event):
        if event.step == step and event.loss is not None:
            raise Stopped

    with pytest.raises(Stopped):
        run_inversion(request, stop, None, workspace)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_damaged_checkpoint_means_from_the_beginning(toy, learn, tmp_path, damage):
    interrupted(learn("one", steps=8), Workspace(tmp_path / "work"))
    path = tmp_path / "work" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-30] if damage is None else damage)
    warnings: list[str] = []
    run_inversion(
        learn("one", steps=8),
        lambda e: note(e, warnings),
        None,
        Workspace(tmp_path / "work", resumed=True),
    )
    assert warnings == ["The checkpoint is damaged; learning starts again."]
    run_inversion(learn("two", steps=8))
    tokens = learned_tokens()
    assert tokens["one"] == tokens["two"]


def test_resumed_progress_starts_where_it_was(toy, learn, tmp_path):
    interrupted(learn("one", steps=20), Workspace(tmp_path / "work"), step=12)
    steps: list[tuple[int, float | None]] = []
    run_inversion(
        learn("one", steps=20),
        lambda e: steps.append((e.step, e.rate)) if e.loss is not None else None,
        None,
        Workspace(tmp_path / "work", resumed=True),
    )
    assert [step for step, _ in steps] == list(range(1, 21))
    assert [rate is None for _, rate in steps] == [True] * 12 + [False] * 8


def test_killed_between_keeping_and_saying_so_it_is_not_learned_twice(toy, learn, tmp_path):
    first, path = run_inversion(learn(), workspace=Workspace(tmp_path / "work"))
    again, same = run_inversion(learn(), workspace=Workspace(tmp_path / "work", resumed=True))
    assert path == same
    assert first.info == again.info
    assert list(learned_tokens()) == ["blue"]


def test_looking_on_the_way_changes_nothing(toy, learn, tmp_path, monkeypatch):
    from toy_model import Toy

    exact = Toy.predict
    monkeypatch.setattr(Toy, "predict", lambda *a: (p := exact(*a)) + 0.1 * torch.randn_like(p))
    shown: list[bytes] = []

    def look(event):
        preview = tmp_path / "work" / "preview.png"
        if preview.exists() and preview.read_bytes() not in shown:
            shown.append(preview.read_bytes())

    workspace = Workspace(tmp_path / "work", look_every=0)
    run_inversion(learn("seen", steps=40, lr=0.5), look, None, workspace)
    run_inversion(learn("unseen", steps=40, lr=0.5))
    tokens = learned_tokens()
    assert tokens["seen"] == tokens["unseen"]
    assert len(shown) >= 3
    shown.clear()
    run_inversion(learn("short", steps=40), look, None, Workspace(tmp_path / "work"))
    assert len(shown) <= 1  # what was there before


def test_a_full_disk_stops_checkpoints_but_not_learning(toy, learn, tmp_path, monkeypatch):
    def full(*_):
        raise DiffinvError("Cannot write x (No space left on device); choose another.")

    monkeypatch.setattr("diffinv.jobs.workspace.atomic_write", full)
    monkeypatch.setattr(keeper, "save_png", full)
    warnings: list[str] = []
    run_inversion(learn(), lambda e: note(e, warnings), None, Workspace(tmp_path / "w", every=0))
    assert "No space left" in warnings[0]
    assert [w.split(" could")[0] for w in warnings] == ["The checkpoint", "The preview"]
    assert list(learned_tokens()) == ["blue"]


# Application


@pytest.fixture
def blue(toy, learn):
    run_inversion(learn())


def test_a_folder_killed_in_the_middle_is_finished_and_nothing_done_twice(
    blue, store, learn, applied, tmp_path
):
    run_inversion(learn("killed", "mortal"))
    request = applied(differences=(("killed", 1.0),))
    job = store.submit(request)
    kept: dict[str, int] = {}
    for death in ("os.link:2", "predict:30", "open:9", "os.link:1"):
        worker = start_worker(store, "--idle", "0", DIFFINV_TEST_DEATH=death)
        assert worker.wait(60) == -signal.SIGKILL, death
        found = pictures_in(tmp_path / "out")
        assert kept.items() <= found.items()
        kept = found
        if store.get(job.id).state == "interrupted":  # it died too soon to say what it had done
            store.resume(job.id)
    assert 0 < len(kept) < 9
    Worker(store, "cpu", idle=0).run()
    job = store.get(job.id)
    found = pictures_in(tmp_path / "out")
    assert job.state == "done"
    assert kept.items() <= found.items()
    assert set(found) == {*(f"{i}.png" for i in range(8)), "deeper/0.png"}
    assert {str(o.output.relative_to(tmp_path / "out")) for o in job.outputs} == set(found)


def test_a_sweep_that_is_killed_ends_as_if_each_strength_were_applied_alone(
    blue, store, learn, applied, folder, tmp_path
):
    run_inversion(learn("killed", "mortal"))
    out, picture = tmp_path / "out", (folder / "0.png",)
    request = applied(differences=(("killed", 2.0),), images=picture, sweep=(-1, 0, 0.25, -0.0, 1))
    job = store.submit(request)
    assert job.title == "killed ×2 on 0.png at 5 strengths"
    worker = start_worker(store, "--idle", "0", DIFFINV_TEST_DEATH="os.link:3")
    assert worker.wait(60) == -signal.SIGKILL
    kept = pictures_in(out)
    assert len(kept) == 2
    Worker(store, "cpu", idle=0).run()
    made = {"strength -2": -2.0, "strength +0": 0.0, "strength +0.5": 0.5, "strength +2": 2.0}
    assert set(pictures_in(out)) == {f"{name}/0.png" for name in made}
    assert kept.items() <= pictures_in(out).items()
    assert [o.output.parent.name for o in store.get(job.id).outputs] == list(made)
    for name, strength in made.items():
        (said,) = provenance_of(out / name / "0.png")["difference"]
        assert said["strength"] == strength
    alone = replace(request, differences=(("killed", 0.5),), sweep=(), out=tmp_path / "alone")
    run_application(alone)
    swept = out / "strength +0.5" / "0.png"
    assert swept.read_bytes() == (tmp_path / "alone" / "0.png").read_bytes()
    assert run_application(request).skipped == 4


@pytest.mark.parametrize("sweep", [(float("nan"),), (1.0,) * 21])
def test_a_sweep_that_cannot_be(blue, applied, sweep):
    with pytest.raises(UsageError, match="A sweep has 1 to 20 numbers"):
        run_application(applied(sweep=sweep))


def test_the_same_again_does_only_what_is_new(blue, applied, folder, tmp_path):
    out = tmp_path / "out"
    assert run_application(applied()).skipped == 0
    before = pictures_in(out)
    (folder / "0.png").rename(folder / "new.png")
    (out / "1.png").unlink()
    (folder / "2.txt").write_text("another prompt")
    told: list[Progress] = []
    report = run_application(applied(), told.append)
    assert report.skipped == 6
    (warning,) = (now.warning for now in told if now.warning)
    assert warning.startswith("2.png or its prompt has changed: its result is now 2-2.png, and ")
    assert "2.png is out of date" in warning
    after = pictures_in(out)
    assert set(after) == {*before, "new.png", "1.png", "2-2.png"}
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"1.png"}
    assert run_application(applied()).skipped == 9


@pytest.mark.parametrize(
    "changes", [{"differences": (("blue", 0.5),)}, {"prompt_b": "a wall"}, {"editor": "ddim"}]
)
def test_anything_else_is_not_the_same(blue, applied, changes, tmp_path):
    from diffinv.method.settings import ApplicationSettings

    if "editor" in changes:
        changes = {"settings": ApplicationSettings(steps=2, **changes)}
    before = len(run_application(applied()).outputs)
    report = run_application(applied(**changes))
    assert (report.skipped, len(report.outputs)) == (0, before)
    assert len(pictures_in(tmp_path / "out")) == 2 * before


def test_replacing_starts_anew_but_resuming_it_does_not(blue, applied, tmp_path):
    request = applied(replace=True)
    run_application(request)
    before = pictures_in(tmp_path / "out")
    events = []

    def stop(event):
        events.append(event)
        if sum(e.output is not None for e in events) >= 4:
            raise Stopped

    with pytest.raises(Stopped):
        run_application(request, stop)
    half = pictures_in(tmp_path / "out")
    made = sum(half[name] != before[name] for name in before)
    assert 4 <= made < 8  # what was computed meanwhile may still be written
    report = run_application(request, resumed=True)
    assert report.skipped == made
    after = pictures_in(tmp_path / "out")
    assert set(after) == set(before)
    assert sum(after[name] == half[name] for name in before) == made


def test_lines_that_were_cut_off_and_foreign_ones_count_for_nothing(blue, applied, tmp_path):
    run_application(applied())
    path = tmp_path / "out" / FILE
    lines = path.read_text().splitlines()
    path.write_text("\n".join(["[]", "nonsense", *lines[:-1], lines[-1][:40]]))
    assert run_application(applied()).skipped == 8


def test_a_full_disk_is_one_sentence_and_the_rest_can_follow(
    blue, applied, store, tmp_path, monkeypatch
):
    real, calls = os.link, []

    def full(*args, **options):
        calls.append(args)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*args, **options)

    monkeypatch.setattr("diffinv.system.files.os.link", full)
    monkeypatch.setattr("diffinv.system.files.os.replace", full)  # nor the way without hard links
    job = store.submit(applied())
    Worker(store, "cpu", idle=0).run()
    job = store.get(job.id)
    assert job.state == "failed"
    assert "No space left on device" in job.error
    kept = pictures_in(tmp_path / "out")
    assert len(kept) == len(job.outputs) == 4
    monkeypatch.setattr("diffinv.system.files.os.link", real)
    store.resume(job.id)
    Worker(store, "cpu", idle=0).run()
    assert store.get(job.id).state == "done"
    found = pictures_in(tmp_path / "out")
    assert kept.items() <= found.items()
    assert len(found) == 9


def test_a_folder_that_is_removed_meanwhile(blue, applied, tmp_path):
    out = tmp_path / "out"

    def remove(event):
        if event.output:
            shutil.rmtree(out)

    with pytest.raises(DiffinvError, match="was removed while results were being written"):
        run_application(applied(), remove)
    assert not out.exists()
    report = run_application(applied())
    assert (report.skipped, len(pictures_in(out))) == (0, 9)


def test_a_name_that_somebody_takes_meanwhile_is_not_overwritten(blue, applied, tmp_path):
    out = tmp_path / "out"

    def intrude(event):
        if event.output and event.output.output.name == "0.png":
            (out / "1.png").write_bytes(b"mine")

    report = run_application(applied(), intrude)
    assert (out / "1.png").read_bytes() == b"mine"
    assert "1-2.png" in {done.output.name for done in report.outputs}
    assert run_application(applied()).skipped == 9


def test_two_applications_into_one_folder_keep_all(blue, applied, folder, tmp_path):
    """As two devices do it: the second plans before the first has written."""
    second = tasks.plan_application(applied(differences=(("blue", 2.0),)))
    run_application(applied())
    assert {path.name for _, path in second.targets} & set(pictures_in(tmp_path / "out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "plan_application", lambda *_: second)
        report = run_application(applied(differences=(("blue", 2.0),)))
    assert len(report.outputs) == 9
    assert len(pictures_in(tmp_path / "out")) == 18


def test_stopped_anywhere_a_folder_has_the_same_results(blue, store, learn, folder, tmp_path):
    """Bit for bit: whatever is left is cut into batches of the same size."""
    run_inversion(learn("d", "diorama", preview=0))

    def request(out: str, **options) -> ApplyRequest:
        settings = ApplicationSettings(steps=2, guidance_scale=2.0, reword=False)
        return ApplyRequest(
            (("d", 1.0),), (folder,), tmp_path / out, settings=settings, batch=4, **options
        )

    def results(out: str) -> dict[str, bytes]:
        root = tmp_path / out
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.png")}

    run_application(request("whole"))
    for stop_after in (1, 4, 7):
        left = iter(range(stop_after))

        def stop(event: Progress, left: Iterator[int] = left) -> None:
            if event.output and next(left, None) is None:
                raise JobStopped

        with pytest.raises(JobStopped):
            run_application(request("cut"), stop)
        for path in sorted((tmp_path / "cut").rglob("*.png"))[:2]:
            path.unlink()
        run_application(request("cut"))
        assert results("cut") == results("whole"), stop_after
        shutil.rmtree(tmp_path / "cut")
