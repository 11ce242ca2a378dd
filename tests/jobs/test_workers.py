"""Workers as processes: alone on their device, deaf to the terminal, obedient to the queue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest
from command_line import end_workers
from installing import install
from working import pictures_in, start_worker, wait_for

from diffinv.errors import DiffinvError
from diffinv.jobs import launch
from diffinv.jobs import reporter as reporters
from diffinv.jobs import worker as workers
from diffinv.jobs.job_rows import CHECKPOINT
from diffinv.jobs.launch import ensure_worker, worker_log
from diffinv.jobs.process import this_process
from diffinv.jobs.reporter import JobStopped, Reporter, thinned
from diffinv.jobs.store import JobStore
from diffinv.jobs.tasks import run_inversion
from diffinv.jobs.worker import Worker
from diffinv.jobs.worker_environment import dismiss_stale_worker
from diffinv.method.settings import MAX_LEARNING_STEPS
from diffinv.running.devices import device_key
from diffinv.running.progress import Progress
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder

ENDLESS = MAX_LEARNING_STEPS


def test_a_worker_lives_apart_from_who_started_it(toy, store, learn):
    id = store.submit(learn(steps=ENDLESS)).id
    ensure_worker(store)
    wait_for(store, lambda: store.get(id).progress.step > 0)
    worker = store.worker("cpu")
    assert os.getsid(worker.pid) == worker.pid != os.getsid(0)
    process = psutil.Process(worker.pid)
    files = [os.readlink(f"/proc/{worker.pid}/fd/{stream}") for stream in (0, 1, 2)]
    assert files == ["/dev/null", str(store.get(id).log), str(store.get(id).log)]
    ensure_worker(store)
    assert store.worker("cpu") == worker
    assert store.get(id).progress.memory_mb > 50
    log = store.get(id).log.read_text()
    assert "Learning the difference" in log
    store.cancel(id)
    wait_for(store, lambda: store.get(id).state == "cancelled")
    assert process.is_running()  # it waits for more
    assert worker_log(store, "cpu").exists()


def test_one_from_other_surroundings_is_sent_away_once_it_has_nothing_to_do(
    toy, store, learn, monkeypatch
):
    job = store.submit(learn(steps=ENDLESS))
    ensure_worker(store)
    wait_for(store, lambda: store.get(job.id).progress.step > 0)
    worker = store.worker("cpu")
    dismiss_stale_worker(store, "cpu")
    monkeypatch.setenv("DIFFINV_ENDPOINT_KEY", "new")
    dismiss_stale_worker(store, "cpu")  # it is at work
    assert store.worker("cpu") == worker
    store.cancel(job.id)
    wait_for(store, lambda: store.get(job.id).state == "cancelled")
    monkeypatch.delenv("DIFFINV_ENDPOINT_KEY")
    dismiss_stale_worker(store, "cpu")  # as it was
    assert store.worker("cpu") == worker
    monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
    dismiss_stale_worker(store, "cpu")
    assert store.worker("cpu") is None
    other = store.submit(learn("other"))
    ensure_worker(store)
    wait_for(store, lambda: store.get(other.id).state == "done")
    assert psutil.Process(store.worker("cpu").pid).environ()["AWS_SESSION_TOKEN"] == "new"


def test_a_plugin_installed_meanwhile_makes_it_stale(toy, store, learn, tmp_path):
    job = store.submit(learn())
    ensure_worker(store)
    wait_for(store, lambda: store.get(job.id).state == "done")
    install(tmp_path / "site", "good")
    dismiss_stale_worker(store, "cpu")
    assert store.worker("cpu") is None


def test_cancelled_and_resumed_it_goes_on_where_it_was(toy, store, learn):
    first, second = store.submit(learn(steps=ENDLESS)), store.submit(learn("other"))
    ensure_worker(store)
    wait_for(store, lambda: store.get(first.id).progress.step > 20)
    assert store.get(second.id).state == "queued"
    store.cancel(first.id)
    wait_for(store, lambda: store.get(second.id).state == "done")
    job = store.get(first.id)
    assert (job.state, job.error) == ("cancelled", None)
    assert (job.folder / CHECKPOINT).exists()
    worker = store.worker("cpu")
    store.resume(first.id)
    wait_for(store, lambda: store.get(first.id).progress.step > job.progress.step)
    assert store.worker("cpu") == worker
    assert len(store.get(first.id).losses) <= 200


def test_told_to_end_it_keeps_what_it_has(toy, store, learn):
    job, other = store.submit(learn(steps=ENDLESS)), store.submit(learn("other"))
    ensure_worker(store)
    wait_for(store, lambda: store.get(job.id).progress.step > 0)
    os.kill(store.worker("cpu").pid, signal.SIGINT)  # a terminal's Ctrl-C is none of its business
    os.kill(store.worker("cpu").pid, signal.SIGTERM)
    wait_for(store, lambda: store.worker("cpu") is None)
    job = store.get(job.id)
    assert job.state == "interrupted"
    assert "told to end" in job.error
    assert (job.folder / CHECKPOINT).exists()
    assert not store.get(other.id).held


def test_killed_by_the_kernel_it_is_started_again_twice_then_the_next_job_is(toy, store, learn):
    job, other = store.submit(learn(steps=ENDLESS)), store.submit(learn("other"))
    ensure_worker(store)
    for attempt in (1, 2, 3):
        wait_for(store, lambda n=attempt: (j := store.get(job.id)).attempts == n and j.losses)
        wait_for(store, lambda: store.get(job.id).progress.step > 0)
        os.kill(store.worker("cpu").pid, signal.SIGKILL)
    wait_for(store, lambda: store.get(job.id).state == "interrupted")
    assert "stopped unexpectedly 3 times (perhaps for lack of memory" in store.get(job.id).error
    wait_for(store, lambda: store.get(other.id).state == "done")
    assert "The worker was ended by SIGKILL." in worker_log(store, "cpu").read_text()


def test_a_folder_is_finished_though_workers_die_and_nobody_looks(
    toy, store, learn, applied, tmp_path, monkeypatch
):
    """Nobody asks the queue for anything until all is done."""
    run_inversion(learn("killed", "mortal"))
    job = store.submit(applied(differences=(("killed", 1.0),)))
    monkeypatch.setenv("DIFFINV_TEST_DEATH", "os.link:7")
    ensure_worker(store)
    supervisor = launch._started[store.folder, "cpu"]
    deadline = time.monotonic() + 120
    while len(pictures_in(tmp_path / "out")) < 9:
        assert time.monotonic() < deadline, pictures_in(tmp_path / "out")
        time.sleep(0.05)
    wait_for(store, lambda: store.get(job.id).state == "done")
    assert store.get(job.id).attempts == 2
    assert len(store.get(job.id).outputs) == 9
    assert supervisor.poll() is None
    loaded = [found.path for found in psutil.Process(supervisor.pid).memory_maps()]
    assert not any("torch" in path for path in loaded)


def test_what_dies_before_it_takes_a_job_is_not_started_forever(store, learn, tmp_path):
    store.submit(learn())
    options = ["--folder", str(store.folder), "--device", "cpu", "--idle", "nonsense"]
    command = [sys.executable, "-P", "-m", "diffinv.jobs.supervisor", *options]
    done = subprocess.run(command, timeout=60, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("ended with exit code 2")) == (0, 2)


def test_of_two_workers_one_leaves(toy, store, learn):
    job = store.submit(learn(steps=ENDLESS))
    both = [start_worker(store, "--idle", "600") for _ in range(2)]
    wait_for(store, lambda: store.get(job.id).progress.step > 0)
    stays = store.worker("cpu").pid
    (leaves,) = (process for process in both if process.pid != stays)
    assert leaves.wait(60) == 0
    (other,) = (process for process in both if process.pid == stays)
    other.kill()
    other.wait()


def test_models_stay_loaded_between_jobs(toy, store, learn, monkeypatch):
    from toy_model import Toy

    made = []
    real = Toy.__init__
    monkeypatch.setattr(Toy, "__init__", lambda self, *a: (made.append(a), real(self, *a))[1])
    ids = [store.submit(learn(name)).id for name in ("one", "two")]
    Worker(store, "cpu", idle=0).run()
    assert [store.get(id).state for id in ids] == ["done", "done"]
    assert len(made) == 1
    assert store.worker("cpu") is None


def test_one_job_that_fails_does_not_stop_the_next(toy, store, learn, monkeypatch):
    from toy_model import Toy

    missing = replace(learn("one"), pairs=((library_folder() / "a.png",) * 2,))
    bad, good = store.submit(missing), store.submit(learn("two"))
    Worker(store, "cpu", idle=0).run()
    job = store.get(bad.id)
    assert (job.state, job.exit_code) == ("failed", 2)
    assert "a.png does not exist" in job.error
    assert store.get(good.id).state == "done"

    def leave(*_):
        sys.exit("enough")

    monkeypatch.setattr(Toy, "predict", leave)
    crashed = store.submit(learn("three"))
    Worker(store, "cpu", idle=0).run()
    job = store.get(crashed.id)
    assert job.state == "failed"
    assert job.error.startswith("A part of a plugin ended the job: it called sys.exit('enough')")


def test_what_a_plugin_prints_is_in_the_job_s_log(toy, store, learn, tmp_path):
    (tmp_path / "site" / "loud.py").write_text(
        "import os\nfrom toy_model import Toy\n"
        "class Loud(Toy):\n"
        "    def __init__(self, *a):\n"
        "        super().__init__(*a)\n"
        "        print('by Python')\n"
        "        os.write(1, b'by the system\\n')\n"
    )
    toy_module = tmp_path / "site" / "toy.py"
    toy_module.write_text(
        (sys.modules["command_line"].MODULES / "toy.py")
        .read_text()
        .replace('factory="toy_model:Toy"', 'factory="loud:Loud"')
    )
    id = store.submit(learn()).id
    assert start_worker(store, "--idle", "0").wait(60) == 0
    assert store.get(id).state == "done"
    log = store.get(id).log.read_text()
    assert "by Python" in log
    assert "by the system" in log


def test_a_worker_whose_list_is_gone_leaves(toy, store, learn):
    store.submit(learn(steps=ENDLESS))
    worker = start_worker(store, "--idle", "600")
    wait_for(store, lambda: store.jobs(["running"]))
    store.close()
    for path in store.folder.glob("jobs.sqlite*"):
        path.unlink()
    assert store.jobs() == []
    assert worker.wait(60) == 0


def test_a_result_is_written_down_once_there_is_room_again(toy, store, learn, monkeypatch):
    id = store.submit(learn()).id
    real, failed = store.finish, []

    def full(*args, **values):
        if len(failed) < 2:
            failed.append(args)
            raise DiffinvError("The job list cannot be written: the disk is full.")
        real(*args, **values)

    worker = Worker(store, "cpu", idle=0)
    monkeypatch.setattr(store, "finish", full)
    monkeypatch.setattr(worker._ending, "wait", lambda _seconds: False)
    worker.run()
    assert len(failed) == 2
    assert store.get(id).state == "done"
    assert [entry.name for entry in Library(library_folder()).entries()] == ["blue"]


# Progress


def test_progress_is_written_at_most_four_times_a_second(store, learn, monkeypatch):
    id = store.submit(learn()).id
    store.register("cpu", this_process())
    store.claim("cpu", this_process())
    written = []
    real = store.report
    monkeypatch.setattr(store, "report", lambda *a: (written.append(a), real(*a))[1])
    with Reporter(store, id) as report:
        started = reporters.time.perf_counter()
        for step in range(20_000):
            report(Progress("Learning", step + 1, 20_000, 1.0))
        seconds = reporters.time.perf_counter() - started
    assert len(written) <= 4 * seconds + 2
    job = store.get(id)
    assert (job.progress.step, job.progress.total) == (20_000, 20_000)
    assert len(job.losses) == 200


def test_a_cancelled_job_hears_of_it(store, learn, monkeypatch):
    monkeypatch.setattr(reporters, "_EVERY", 0.001)
    id = store.submit(learn()).id
    store.register("cpu", this_process())
    store.claim("cpu", this_process())
    store.cancel(id)
    with Reporter(store, id) as report:
        assert report._stopped.wait(30)
        with pytest.raises(JobStopped):
            report(Progress("Learning", 1, 2))


def test_reports_that_could_not_be_written_are_not_lost(store, learn, monkeypatch):
    from pathlib import Path

    from diffinv.running.progress import AppliedImage

    id = store.submit(learn()).id
    store.register("cpu", this_process())
    store.claim("cpu", this_process())
    real, failed = store.report, []

    def locked(*args):
        if not failed:
            failed.append(args)
            raise DiffinvError("locked")
        return real(*args)

    monkeypatch.setattr(store, "report", locked)
    outputs = [AppliedImage(Path("/a"), Path("/b"), 1.0), AppliedImage(Path("/c"), Path("/d"), 1.0)]
    with Reporter(store, id) as report:
        report(Progress("Applying", output=outputs[0]))
        report._write()
        report(Progress("Applying", output=outputs[1]))
    assert failed
    assert store.get(id).outputs == outputs


def test_long_curves_are_thinned_to_their_means():
    assert thinned([1.0, 3.0]) == [1.0, 3.0]
    assert thinned([]) == []
    thin = thinned([float(i) for i in range(1000)])
    assert len(thin) == 200
    assert thin[:2] == [2.0, 7.0]


@pytest.mark.parametrize(
    ("device", "key"),
    [
        *(("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu"), (" CPU", "cpu")),
        *(("cpu:1", "cpu"), ("mps:0", "mps")),
    ],
)
def test_devices_have_one_name(device, key):
    assert device_key(device) == key


def test_front_ends_never_import_torch(toy, store, learn):
    code = """
import sys
from diffinv.jobs import job, launch, manifest, planning, process, request_json, requests, store
from diffinv.storage import index, query, trash
from diffinv.storage.store import Library
from diffinv.cli import apply, drawing, following, invert, jobs, library
from diffinv.system.paths import library_folder
queue = store.JobStore()
queue.retry(1)
launch.ensure_worker(queue)
queue.jobs(), queue.changes(), Library(library_folder()).search("x")
sys.exit(any(name in sys.modules for name in ("torch", "diffusers", "transformers")))
"""
    store.submit(learn())
    store.cancel(1)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    wait_for(store, lambda: store.get(2).state == "done")
    end_workers(store.folder)


def test_the_worker_names_its_options():
    with pytest.raises(SystemExit):
        workers.main(["--folder", "x"])


def test_learning_with_too_little_memory_halves_its_batch_once(toy, store, learn, monkeypatch):
    monkeypatch.setenv("TOY_LEARNING_ROOM", "1")
    job = store.submit(learn())
    ensure_worker(store)
    wait_for(store, lambda: store.get(job.id).is_finished)
    job = store.get(job.id)
    assert job.state == "done"
    warning = "cpu ran out of memory: batches are halved from now on."
    assert warning in job.warnings
    assert warning in Library(library_folder()).load("blue").info.warnings
    monkeypatch.setenv("TOY_LEARNING_ROOM", "0")
    monkeypatch.setenv("DIFFINV_TEST", "makes the waiting worker one of other surroundings")
    dismiss_stale_worker(store, "cpu")
    again = store.submit(learn("again"))
    ensure_worker(store)
    wait_for(store, lambda: store.get(again.id).is_finished)
    assert store.get(again.id).error == (
        "cpu ran out of memory with the batch halved; use --memory low, close other programs or "
        "choose a smaller backbone."
    )


def test_when_the_reporting_thread_dies_the_job_ends_with_a_sentence(
    toy, store, learn, monkeypatch
):
    def broken(*_arguments):
        raise ZeroDivisionError("of any kind")

    monkeypatch.setattr("diffinv.jobs.reporter._EVERY", 0.01)
    jobs = [store.submit(learn(steps=5000)), store.submit(learn("other"))]
    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "report", broken)
        worker = Worker(store, "cpu", idle=0)
        worker._carry_out(store.claim("cpu", worker._me))
    ended = store.get(jobs[0].id)
    assert ended.state == "failed"
    assert "could not be recorded (ZeroDivisionError: of any kind)" in (ended.error or "")
    Worker(store, "cpu", idle=0).run()
    assert store.get(jobs[1].id).state == "done"
