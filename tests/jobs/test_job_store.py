"""The queue: what is in it, in which order, and what happens when its file is in trouble."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from diffinv.errors import DiffinvError, UsageError
from diffinv.jobs import process as processes
from diffinv.jobs import store as stores
from diffinv.jobs.job import Job
from diffinv.jobs.process import Identity, this_process
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.store import JobProgress, JobStore, Report
from diffinv.running.progress import AppliedImage

ME = this_process()
DEAD = replace(ME, started="1")
"""A process that is no longer: its number was given to another one."""


def ids(store: JobStore, *states: str) -> list[int]:
    return [job.id for job in store.jobs(states or None)]


def dead_process() -> Identity:
    """A process that has been."""
    code = "from diffinv.jobs.process import this_process as p; me = p(); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print(me.pid, me.started, me.boot)"],
        capture_output=True,
        text=True,
        check=True,
    )
    pid, started, boot = done.stdout.split()
    return Identity(int(pid), started, boot)


def test_a_request_comes_back_as_it_was_but_for_its_paths(store, learn, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "x.safetensors").touch()
    request = replace(
        learn(seed=7, alpha=0.25),
        pairs=((Path("a.png"), Path("a2.png")),),
        captions=(("a red thing", "a blue thing"),),
        backbone="toy=weights",
        delta_encoder="toy=hub/id",
    )
    found = store.get(store.submit(request).id).request
    assert found.pairs == ((tmp_path / "a.png", tmp_path / "a2.png"),)
    assert (found.backbone, found.delta_encoder) == (f"toy={tmp_path}/weights", "toy=hub/id")
    assert (found.settings, found.captions) == (request.settings, request.captions)
    apply = ApplyRequest((("x.safetensors", 0.5), ("blue", -1.0)), (Path("b"),), Path("out"))
    found = store.get(store.submit(apply).id).request
    assert found.differences == ((f"{tmp_path}/x.safetensors", 0.5), ("blue", -1.0))
    assert (found.images, found.out) == ((tmp_path / "b",), tmp_path / "out")
    assert found.library == Path(os.environ["DIFFINV_HOME"]) / "library"


def test_titles_say_what_is_applied_to_what(store, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two, picture = (tmp_path / name for name in ("one", "two", "B.png"))
    titles = {
        ((("winter-v1.5", 1.0),), (picture,)): "winter-v1.5 on B.png",
        ((("a/b", 0.5), ("/x/c.d.safetensors", -1.0)), (one,)): "a/b ×0.5 + c.d ×-1 on one",
        ((("x", 1.0),), (one, two)): "x on 2 folders",
        ((("x", 1.0),), (picture, picture)): "x on 2 pictures",
        ((("x", 1.0),), (picture, one, two)): "x on 3 pictures and folders",
    }
    for (differences, images), title in titles.items():
        request = ApplyRequest(differences, images, tmp_path / "out")
        assert store.submit(request).title == title


def test_a_job_can_be_first_or_last_whatever_comes_later(store, learn):
    one, two, urgent = (store.submit(learn(), priority=p).id for p in (0, 0, 5))
    store.move_to_end(two, first=True)
    assert ids(store) == [two, urgent, one]
    for id in (urgent, two, urgent, urgent):
        store.move_to_end(id, first=False)
    assert ids(store) == [one, two, urgent]
    late = store.submit(learn()).id
    assert ids(store) == [one, two, urgent, late]
    store.move_to_end(late, first=True)
    assert ids(store) == [late, one, two, urgent]


def test_the_queue_is_ordered_by_priority_and_can_be_reordered(store, learn):
    first, second, urgent = (store.submit(learn(), priority=p).id for p in (0, 0, 5))
    assert ids(store) == [urgent, first, second]
    store.move(second, up=True)
    assert ids(store) == [urgent, second, first]
    store.move(urgent, up=False)
    assert ids(store) == [second, urgent, first]
    store.move(second, up=True)
    store.move(first, up=False)
    assert ids(store) == [second, urgent, first]
    assert store.register("cpu", ME)
    taken = [job.id for _ in range(3) if (job := store.claim("cpu", ME))]
    assert taken == [second, urgent, first]
    assert store.claim("cpu", ME) is None


CLAIM = """
import sys
from diffinv.jobs.process import this_process
from diffinv.jobs.store import JobStore
store, me = JobStore(), this_process()
print("ready", flush=True)
sys.stdin.readline()
while job := store.claim("cpu", me):
    print(job.id, flush=True)
"""


def test_two_processes_that_claim_at_once_get_each_job_once(store, learn):
    wanted = [store.submit(learn()).id for _ in range(40)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", CLAIM], **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    taken = [int(line) for process in both for line in process.communicate()[0].split()]
    assert sorted(taken) == wanted


def test_one_worker_a_device(store):
    assert store.register("cpu", ME)
    assert not store.register("cpu", replace(ME, pid=os.getppid()))
    assert store.register("cuda:0", ME)
    assert store.worker("cpu") == ME


def test_a_worker_does_not_leave_while_there_is_a_job(store, learn):
    store.register("cpu", ME)
    id = store.submit(learn()).id
    assert not store.leave("cpu", ME)
    assert store.claim("cpu", ME).id == id
    assert store.leave("cpu", ME, force=True)
    assert store.get(id).state == "interrupted"
    assert store.worker("cpu") is None


def test_reports_are_what_front_ends_read(store, learn):
    id = store.submit(learn()).id
    store.register("cpu", ME)
    store.claim("cpu", ME)
    output = AppliedImage(Path("/b.png"), Path("/out/b.png"), 0.5)
    progress = JobProgress("Learning", 3, 10, 2.0, 3.5, 0.1, 900.0)
    before = store.changes()
    assert not store.report(id, Report(progress, [0.3, 0.1], ["careful"], [output]))
    assert store.changes() != before
    assert store.changes() == store.changes()
    job = JobStore().get(id)
    assert (job.progress, job.losses, job.warnings) == (progress, [0.3, 0.1], ["careful"])
    assert (job.outputs, job.state) == ([output], "running")
    store.finish(id, "done", failures=["one"], difference=("n", Path("/n")))
    job = store.get(id)
    assert (job.state, job.failures, job.difference) == ("done", ["one"], ("n", Path("/n")))


def test_cancelling_one_job_touches_no_other(store, learn):
    running, queued, other = (store.submit(learn()).id for _ in range(3))
    store.register("cpu", ME)
    store.claim("cpu", ME)
    assert store.cancel(queued).state == "cancelled"
    assert store.cancel(running).cancelling
    assert store.report(running, Report())
    store.finish(running, "cancelled")
    assert store.get(other).state == "queued"
    assert not store.get(other).cancelling
    assert store.claim("cpu", ME).id == other


def test_what_cannot_be_done_is_refused(store, learn):
    id = store.submit(learn()).id
    for refused in (store.retry, store.resume, lambda id: store.get(id + 1)):
        with pytest.raises(UsageError):
            refused(id)
    store.cancel(id)
    with pytest.raises(UsageError, match="is cancelled and cannot be moved"):
        store.move(id, up=True)
    assert store.resume(id).state == "queued"
    store.cancel(id)
    assert store.retry(id).id == id + 1


def test_clear_forgets_what_is_over_and_keeps_what_can_go_on(store, learn):
    done, failed, waiting, stopped = (store.submit(learn()) for _ in range(4))
    store.register("cpu", ME)
    for job, state in ((done, "done"), (failed, "failed")):
        store.claim("cpu", ME)
        job.folder.mkdir(parents=True)
        store.finish(job.id, state)
    store.move(stopped.id, up=True)
    store.claim("cpu", ME)
    store.leave("cpu", ME, force=True)
    assert store.clear() == 2
    assert ids(store) == [waiting.id, stopped.id]
    assert not done.folder.exists()


def test_a_paused_queue_starts_nothing(store, learn):
    store.submit(learn())
    store.register("cpu", ME)
    store.set_paused(True)
    assert store.paused
    assert "paused" in store.pause_reason
    assert store.claim("cpu", ME) is None
    assert store.leave("cpu", ME)
    assert store.waiting_devices() == []
    store.set_paused(False)
    assert not store.paused
    assert store.waiting_devices() == ["cpu"]


def crash(store: JobStore, learn, worker: Identity) -> tuple[int, int]:
    """A worker that has died with one job running and one queued."""
    running, queued = store.submit(learn()).id, store.submit(learn()).id
    with store._data.write() as db:
        db.execute("INSERT INTO workers VALUES ('cpu', ?)", (stores._to_text(worker),))
    assert store._data.read("SELECT 1 FROM workers")
    with store._data.write() as db:
        db.execute(
            "UPDATE jobs SET state = 'running', started = created, worker = ? WHERE id = ?",
            (stores._to_text(worker), running),
        )
    return running, queued


def test_after_a_restart_of_the_machine_the_queue_waits_and_says_so(store, learn):
    running, queued = crash(store, learn, replace(ME, boot="another"))
    job = store.get(running)
    assert (job.state, job.deaths, job.is_news) == ("interrupted", 0, True)
    assert "the machine was restarted" in job.error
    assert job.error.startswith(f"Job {running} was interrupted: ")
    assert store.get(queued).held
    assert "1 job was waiting" in store.pause_reason
    assert store.waiting_devices() == []
    new = store.submit(learn()).id  # what is asked for now is wanted now
    assert store.register("cpu", ME)
    assert store.claim("cpu", ME).id == new
    assert store.claim("cpu", ME) is None
    store.set_paused(False)
    assert store.claim("cpu", ME).id == queued
    assert store.resume(running).state == "queued"


def test_what_a_restart_held_goes_on_with_what_it_interrupted(store, learn):
    running, queued = crash(store, learn, replace(ME, boot="another"))
    assert store.resume(running).state == "queued"
    assert (store.paused, store.get(running).is_news) == (False, False)
    assert [store.claim("cpu", ME).id for _ in range(2)] == [running, queued]


def die(store: JobStore, id: int, queued: int) -> Job:
    """A worker that dies of a job while another one waits; the job after that."""
    with store._data.write() as db:
        db.execute("DELETE FROM workers")
        db.execute("INSERT INTO workers VALUES ('cpu', ?)", (stores._to_text(DEAD),))
        db.execute(
            "UPDATE jobs SET state = 'running', started = created, worker = ? WHERE id = ?",
            (stores._to_text(DEAD), id),
        )
    assert not store.get(queued).held
    return store.get(id)


def test_a_job_that_kills_its_workers_goes_on_twice_then_is_held_and_the_next_one_starts(
    store, learn
):
    id, queued = store.submit(learn()).id, store.submit(learn(), priority=3).id
    for deaths in (1, 2):
        job = die(store, id, queued)
        assert (job.state, job.deaths, job.error) == ("queued", deaths, None)
        assert ids(store) == [id, queued]  # before what was queued meanwhile
        assert store.waiting_devices() == ["cpu"]
    job = die(store, id, queued)
    assert (job.state, job.deaths, job.is_news) == ("interrupted", 3, True)
    assert "its worker stopped unexpectedly 3 times (perhaps for lack of memory" in job.error
    assert not store.paused
    assert store.claim("cpu", ME).id == queued
    assert store.resume(id).deaths == 0


def test_pictures_done_between_two_deaths_start_the_count_anew(store, learn, applied):
    id, queued = store.submit(applied()).id, store.submit(learn()).id
    for number in range(4):
        assert die(store, id, queued).deaths == 1
        store.claim("cpu", ME)
        done = [AppliedImage(Path(f"/{n}"), Path(f"/out/{n}"), 1.0) for n in range(number + 1)]
        store.report(id, Report(outputs=done))
    store.report(id, Report(outputs=done))  # what was there before is not new
    assert [die(store, id, queued).deaths for _ in range(2)] == [1, 2]


def test_what_was_cancelled_or_paused_is_not_started_again(store, learn):
    id, queued = store.submit(learn()).id, store.submit(learn()).id
    store.claim("cpu", ME)
    store.cancel(id)
    assert die(store, id, queued).state == "cancelled"
    store.set_paused(True)
    assert die(store, queued, queued).state == "queued"
    assert store.waiting_devices() == []
    assert store.claim("cpu", ME) is None


def test_news_is_told_once(store, learn):
    done, stopped, cancelled = (store.submit(learn()).id for _ in range(3))
    store.cancel(cancelled)
    for id, state in ((done, "done"), (stopped, "interrupted")):
        store.claim("cpu", ME)
        store.finish(id, state)
    assert {job.id for job in store.jobs() if job.is_news} == {done, stopped}
    store.set_told([done])
    assert {job.id for job in JobStore().jobs() if job.is_news} == {stopped}
    assert not store.resume(stopped).is_news


def test_the_same_request_is_found_while_it_waits_or_runs(store, learn, applied):
    job = store.submit(applied())
    store.submit(learn())
    assert store.same_as(applied()).id == job.id
    assert store.same_as(applied(batch=2)) is None
    store.claim("cpu", ME)
    assert store.same_as(applied()).id == job.id
    store.cancel(job.id)
    assert store.same_as(applied()) is None  # it is about to stop


def test_the_share_that_is_done_stays_when_a_job_is_started_again(store, applied):
    id = store.submit(applied()).id
    store.claim("cpu", ME)
    progress = JobProgress("Applying", 30, 40, 2.0, 5.0, pictures=200, share=0.66)
    store.report(id, Report(progress))
    assert store.get(id).share == 0.66
    store.finish(id, "interrupted")
    store.resume(id)
    job = store.claim("cpu", ME)
    assert job.progress == JobProgress(pictures=200, share=0.66)


def test_an_open_front_end_notices_a_death_by_polling(store, learn, monkeypatch):
    monkeypatch.setattr(stores, "_LOOK_EVERY", 0.0)
    store.submit(learn())
    before = store.changes()
    with store._data.write() as db:
        db.execute("INSERT INTO workers VALUES ('cpu', ?)", (stores._to_text(dead_process()),))
    assert store.changes() != before
    assert store._data.read("SELECT * FROM workers") == []


def test_a_pid_that_is_used_again_is_another_process(store, learn):
    running, _ = crash(store, learn, replace(ME, started="1"))
    assert (store.get(running).state, store.get(running).deaths) == ("queued", 1)


def test_a_living_worker_is_left_alone(store, learn):
    running, queued = crash(store, learn, ME)
    assert store.get(running).state == "running"
    assert not store.get(queued).held


def test_the_dead_that_nobody_has_waited_for_are_dead():
    code = "from diffinv.jobs.process import this_process as p; me = p(); "
    child = subprocess.Popen(
        [sys.executable, "-c", code + "print(me.pid, me.started, me.boot, flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, started, boot = child.stdout.readline().split()
    identity = Identity(int(pid), started, boot)
    assert identity.is_alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert not identity.is_alive()
    child.communicate()


def test_a_clock_set_back_changes_neither_order_nor_life(store, learn, monkeypatch):
    now = [2_000_000_000.0]
    monkeypatch.setattr(stores.time, "time", lambda: now[0])
    store.register("cpu", ME)
    first = store.submit(learn()).id
    now[0] -= 10_000
    second = store.submit(learn()).id
    assert ids(store) == [first, second]
    job = store.claim("cpu", ME)
    assert job.id == first
    now[0] -= 10_000
    store.finish(first, "done")
    job = store.get(first)
    assert job.created <= job.started <= job.finished
    assert store.worker("cpu") == ME


def test_identities_do_not_depend_on_the_clock(monkeypatch):
    assert ME.is_alive()
    monkeypatch.setattr(processes.psutil.Process, "create_time", lambda self: 0.0)
    assert ME.is_alive() or sys.platform != "linux"
    assert this_process() == ME or sys.platform != "linux"


@pytest.mark.parametrize("damage", ["garbage", "pages", "empty"])
def test_a_damaged_list_is_set_aside_and_a_fresh_one_made(store, learn, damage):
    for _ in range(30):
        store.submit(learn())
    store.close()
    path = store.folder / "jobs.sqlite"
    for sidecar in path.parent.glob("jobs.sqlite-*"):
        sidecar.unlink()
    if damage == "garbage":
        path.write_bytes(b"not a database at all" * 500)
    elif damage == "pages":
        data = path.read_bytes()
        assert len(data) > 8192
        path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    else:
        path.write_bytes(b"SQLite format 3\0")
    fresh = JobStore()
    assert fresh.jobs() == []
    (aside,) = path.parent.glob("jobs.damaged-*.sqlite")
    assert aside.name in fresh.notice
    assert fresh.notice.count(". ") == 0
    assert fresh.submit(learn()).id == 1
    assert JobStore().notice is None


def test_damage_under_an_open_front_end(store, learn):
    store.submit(learn())
    path = store.folder / "jobs.sqlite"
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").write_bytes(b"nonsense" * 1000)
    os.replace(path.with_name("copy"), path)
    for sidecar in path.parent.glob("jobs.sqlite-*"):
        sidecar.unlink()
    assert store.jobs() == []
    assert "set aside" in store.notice
    store.changes()
    assert store.submit(learn()).id == 1


def test_a_locked_list_says_so_and_loses_nothing(learn):
    store = JobStore(timeout=0.05)
    id = store.submit(learn()).id
    other = sqlite3.connect(store.folder / "jobs.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for write in (lambda: store.submit(learn()), lambda: store.cancel(id)):
        with pytest.raises(DiffinvError, match="locked by another program; try again"):
            write()
    assert ids(store) == [id]  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    assert store.cancel(id).state == "cancelled"


def test_a_full_disk_says_so_and_loses_nothing(store, learn):
    first = store.submit(learn())
    connection = store._data._connection()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiffinvError, match="the disk is full; free some space"):
        store.submit(learn(name="x" * 50_000))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert store.jobs()[0] == first
    assert store.submit(learn()).state == "queued"


def test_a_list_of_a_later_version_is_left_alone(store, learn):
    store.submit(learn())
    ((own,),) = store._data.read("PRAGMA user_version")
    store._data._connection().execute("PRAGMA user_version = 99")
    with pytest.raises(DiffinvError, match="later diffinv; update"):
        JobStore().jobs()
    store._data._connection().execute(f"PRAGMA user_version = {own}")
    assert ids(JobStore()) == [1]


@pytest.mark.parametrize(
    ("version", "later"), [(1, ["waits_for", "deaths", "news"]), (2, ["deaths", "news"])]
)
def test_a_list_of_an_earlier_version_is_taken_over(store, learn, version, later):
    """With nothing to tell of jobs that ended before there was news."""
    jobs = [store.submit(learn()) for _ in range(2)]
    store.claim("cpu", ME)
    store.finish(jobs[0].id, "done", difference=("n", Path("/n")))
    jobs[0] = replace(store.get(jobs[0].id), is_news=False)
    for column in later:
        store._data._connection().execute(f"ALTER TABLE jobs DROP COLUMN {column}")
    store._data._connection().execute(f"PRAGMA user_version = {version}")
    store.close()
    assert JobStore().jobs() == jobs[::-1]
    assert die(store, jobs[1].id, jobs[1].id).deaths == 1


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiffinvError, match="cannot be used"):
        JobStore(tmp_path / "file").jobs()


def test_titles_are_safe_to_print(store, learn):
    job = store.submit(learn(name="\x1b[31m[bold]x\n"))
    assert job.title == "[bold]x"


def test_reading_makes_no_list(tmp_path, learn):
    store = JobStore(tmp_path / "new")
    before = store.changes()
    assert (store.jobs(), store.paused, store.waiting_devices()) == ([], False, [])
    assert not store.folder.exists()
    store.submit(learn())
    assert store.changes() != before
    assert ids(store) == [1]


def test_a_full_disk_is_said_to_be_full(full_disk, learn):
    folder, fill = full_disk
    fill()
    store = JobStore(folder)
    assert store.jobs() == []
    with pytest.raises(DiffinvError, match="The job list .* the disk is full; free some space"):
        store.submit(learn())


def test_a_list_emptied_under_a_live_worker_is_set_aside_at_once(store, learn):
    store.submit(learn())
    other = JobStore(store.folder, timeout=1.0)
    assert len(other.jobs()) == 1
    os.truncate(store.folder / "jobs.sqlite", 0)
    fresh = JobStore(store.folder, timeout=1.0)
    assert fresh.jobs() == []
    assert "set aside" in (fresh.notice or "")
    assert other.jobs() == []
