"""Many differences as one job: at once, after a kill, and on other machines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from working import start_worker, wait_for

from diffinv.jobs.counting import count, learned
from diffinv.jobs.many import learn_many
from diffinv.jobs.requests import InvertManyRequest
from diffinv.jobs.tasks import run_inversion
from diffinv.jobs.worker import Worker
from diffinv.storage.store import Library
from diffinv.system.paths import library_folder
from diffinv_tui.job_texts import became, state_line

COLOURS = ("red", "green", "blue", "gold", "gray", "pink")


@pytest.fixture
def requests(tmp_path, learn, toy):
    """Six inversions, the last of other pictures' size."""
    found = []
    for number, colour in enumerate(COLOURS):
        size = (20, 24) if number == 5 else (24, 20)
        pair = tmp_path / f"{colour}.png", tmp_path / f"{colour}2.png"
        Image.new("RGB", size, colour).save(pair[0])
        Image.new("RGB", size, "white").save(pair[1])
        found.append(replace(learn(name=colour, steps=4), pairs=(pair,), device="cpu"))
    return tuple(found)


def tokens(library: Library) -> dict[str, bytes]:
    """What was learned, bit for bit."""
    return {colour: library.load(colour).tokens.tobytes() for colour in COLOURS}


def test_learned_together_they_are_as_alone(requests):
    events = []
    assert learn_many(InvertManyRequest(requests, batch=4), events.append) == []
    library = Library(library_folder())
    for request in requests:
        alone = run_inversion(replace(request, name=f"{request.name}-alone"))[0].tokens
        assert np.allclose(library.load(request.name).tokens, alone, atol=1e-4)
    steps = [event.step for event in events if event.total == 24]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 24)
    assert {4, 8, 12, 16, 20} <= set(steps), "it moves within a batch"


def test_one_at_a_time_they_are_bit_for_bit_as_alone(requests):
    assert learn_many(InvertManyRequest(requests), lambda _event: None) == []
    together = tokens(Library(library_folder()))
    for request in requests:
        alone = run_inversion(replace(request, name=f"{request.name}-alone"))[0].tokens
        assert together[request.name] == alone.tobytes()


def test_a_pair_that_fails_leaves_the_others(requests, store, tmp_path):
    Image.new("RGB", (24, 20), "white").save(tmp_path / "green.png")
    job = store.submit(InvertManyRequest(requests, batch=3, title="pairs.csv"))
    assert job.title == "pairs.csv: 6 differences"
    Worker(store, "cpu", idle=0).run()
    job = store.get(job.id)
    assert job.state == "done", job.error
    (failure,) = job.failures
    assert failure.startswith("green: A and A′ are the same picture")
    assert learned(job, job.request) == "5 of 6 differences, 1 failed"
    assert {entry.name for entry in Library(library_folder()).entries()} == {*COLOURS} - {"green"}
    assert "learning on cpu" in state_line(job).plain
    assert became(job).plain == "finished, 5 of 6 differences, 1 failed"


def test_a_killed_worker_goes_on_with_the_same_batches(requests, store, tmp_path):
    requests = tuple(
        replace(one, settings=replace(one.settings, steps=60), backbone="toy") for one in requests
    )
    aside = tuple(replace(one, library=tmp_path / "aside") for one in requests)
    assert learn_many(InvertManyRequest(aside, batch=2), lambda _event: None) == []
    job = store.submit(InvertManyRequest(requests, batch=2))
    library = Library(library_folder())
    worker = start_worker(store)
    wait_for(store, lambda: library.has("green", exactly=True))
    worker.kill()
    worker.wait()
    store.notice_deaths()
    if store.get(job.id).state == "interrupted":
        store.resume(job.id)
    Worker(store, "cpu", idle=0).run()
    job = store.get(job.id)
    assert (job.state, job.failures) == ("done", [])
    assert count(job) == "6 of 6"
    assert tokens(library) == tokens(Library(tmp_path / "aside"))
