"""An inversion on the embedded backbone, killed from outside whenever chance says so."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from working import start_worker

from diffinv.difference import load
from diffinv.jobs.job import Job
from diffinv.jobs.requests import InvertRequest
from diffinv.jobs.store import JobStore
from diffinv.jobs.tasks import run_inversion
from diffinv.jobs.worker import Worker
from diffinv.method.settings import inversion_settings
from diffinv.plugins.loading import registry
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder

STEPS = 100
KILLS = 6
EARLY = 2
"""So many die at any time after their start, the rest at any time after their first step."""


def request(name: str) -> InvertRequest:
    folder = Path(registry().backbones["diorama"].defaults["example"])
    settings = inversion_settings(steps=STEPS, init_std=0.1)
    pair = (folder / "a.png", folder / "a_prime.png")
    return InvertRequest(pairs=(pair,), name=name, backbone="diorama", settings=settings)


def tokens() -> dict[str, bytes]:
    entries = Library(library_folder()).entries()
    return {entry.name: load(entry.path).tokens.tobytes() for entry in entries}


def kill_one(store: JobStore, id: int, early: bool, wait: float) -> Job:
    """Start a worker and kill it; the job, fit for the next worker."""
    worker = start_worker(store, "--idle", "0", "--checkpoint-every", "0")
    end = time.monotonic() + 60
    while not early and worker.poll() is None and time.monotonic() < end:
        job = store.get(id)
        if job.state == "running" and job.progress.loss is not None:
            break
        time.sleep(0.01)
    time.sleep(wait)
    worker.kill()
    assert worker.wait(20) == -signal.SIGKILL
    store.notice_deaths()
    if store.get(id).state == "interrupted":
        store.resume(id)
    store.set_paused(False)
    return store.get(id)


def test_killed_at_random_times_the_tokens_are_the_same_bit_for_bit(store: JobStore) -> None:
    seed = random.randrange(1_000_000)
    rng = random.Random(seed)
    run_inversion(request("whole"))
    id = store.submit(request("killed")).id
    kinds = [number < EARLY for number in range(KILLS)]
    rng.shuffle(kinds)
    for early in kinds:
        wait = rng.uniform(0, 2.5 if early else 0.3)
        job = kill_one(store, id, early, wait)
        assert job.state == "queued", f"seed {seed}: {job.state}, {job.error}"
    Worker(store, "cpu", idle=0).run()
    job = store.get(id)
    assert (job.state, len(job.losses)) == ("done", STEPS), f"seed {seed}: {job.error}"
    assert job.attempts >= KILLS - EARLY, f"seed {seed}"
    assert tokens()["killed"] == tokens()["whole"], f"seed {seed}"
