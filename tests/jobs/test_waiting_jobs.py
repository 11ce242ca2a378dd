"""A job that needs what another one makes waits for it, falls with it, comes back with it."""

from __future__ import annotations

import pytest

from diffinv.cli.ways_on import why_stopped
from diffinv.errors import UsageError
from diffinv.jobs.demo import Example, submit_demo
from diffinv.jobs.job import Job
from diffinv.jobs.process import this_process
from diffinv.jobs.store import JobStore
from diffinv.storage.store import Library

ME = this_process()


@pytest.fixture
def two(store: JobStore, learn, applied) -> tuple[Job, Job]:
    """A learning, and an application that waits for it."""
    first = store.submit(learn())
    return first, store.submit(applied(), waits_for=first.id)


def states(store: JobStore) -> dict[int, str]:
    return {job.id: job.state for job in store.jobs()}


def start(store: JobStore) -> Job | None:
    return store.claim("cpu", ME)


def test_a_job_starts_after_the_one_it_waits_for_wherever_it_stands(store, two):
    first, second = two
    store.move_to_end(second.id, first=True)
    assert start(store).id == first.id
    assert start(store) is None
    assert store.waiting_devices() == []
    store.finish(first.id, "done")
    assert store.waiting_devices() == ["cpu"]
    assert start(store).id == second.id


@pytest.mark.parametrize("when", ["queued", "running", "its worker is killed"])
def test_a_job_is_cancelled_along_and_comes_back(store, two, when):
    first, second = two
    if when != "queued":
        assert store.register("cpu", ME)
        start(store)
    store.cancel(first.id)
    if when == "running":
        store.finish(first.id, "cancelled")
    elif when != "queued":
        store.leave("cpu", ME, force=True)
    fallen = store.get(second.id)
    assert fallen.state == "cancelled"
    assert fallen.finished
    assert fallen.error == f"Job {first.id}, which it waits for, was cancelled."
    assert why_stopped(fallen) == (
        f"Job {first.id}, which it waits for, was cancelled; "
        f"'diffinv jobs resume {first.id}' goes on with both."
    )
    with pytest.raises(UsageError, match=f"resume {first.id}' goes on with both"):
        store.resume(second.id)
    with pytest.raises(UsageError, match=f"needs what job {first.id} makes"):
        store.retry(second.id)
    store.resume(first.id)
    back = store.get(second.id)
    assert (back.state, back.error, back.finished) == ("queued", None, None)
    assert start(store).id == first.id


def test_a_job_comes_back_for_the_new_run_of_one_that_failed(store, two):
    first, second = two
    start(store)
    store.finish(first.id, "failed", "No.")
    assert "failed" in (store.get(second.id).error or "")
    again = store.retry(first.id)
    assert store.get(second.id).waits_for == again.id
    assert start(store).id == again.id
    assert start(store) is None
    store.finish(again.id, "done")
    assert start(store).id == second.id


def test_a_job_waits_for_an_interrupted_one_or_its_new_run(store, two):
    first, second = two
    start(store)
    store.finish(first.id, "interrupted")
    assert store.get(second.id).state == "queued"
    assert start(store) is None
    again = store.retry(first.id)
    assert store.get(second.id).waits_for == again.id


def test_a_job_that_was_cancelled_for_itself_stays_so(store, two):
    first, second = two
    store.cancel(second.id)
    store.cancel(first.id)
    store.resume(first.id)
    assert states(store) == {first.id: "queued", second.id: "cancelled"}
    assert store.resume(second.id).state == "queued"


def test_a_job_starts_once_the_one_it_waited_for_is_forgotten(store, two):
    first, second = two
    start(store)
    store.finish(first.id, "done")
    store.clear()
    assert start(store).id == second.id


def test_the_demo_applies_what_it_has_learned_first(store, pair, tmp_path):
    library = Library(tmp_path / "library")
    learn, use = submit_demo(store, library, Example("toy", tmp_path), tmp_path / "out")
    store.cancel(learn.id)
    store.resume(learn.id)
    assert states(store) == {learn.id: "queued", use.id: "queued"}
    assert use.waits_for == learn.id
