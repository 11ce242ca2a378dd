"""Many differences as one job: at once, after a kill, and on other machines."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from working import start_worker, wait_for

from diffinv.errors import UsageError
from diffinv.jobs.counting import count, learned
from diffinv.jobs.many import learn_many
from diffinv.jobs.request_json import from_json, to_json
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
    assert learn_many(InvertManyRequest(requests, batch=4), events.append).failures == []
    library = Library(library_folder())
    for request in requests:
        alone = run_inversion(replace(request, name=f"{request.name}-alone"))[0].tokens
        assert np.allclose(library.load(request.name).tokens, alone, atol=1e-4)
    steps = [event.step for event in events if event.total == 24]
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (0, 24)
    assert {4, 8, 12, 16, 20} <= set(steps), "it moves within a batch"


def test_one_at_a_time_they_are_bit_for_bit_as_alone(requests):
    assert learn_many(InvertManyRequest(requests), lambda _event: None).failures == []
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
    assert learned(job) == "5 of 6 differences, 1 failed"
    assert {entry.name for entry in Library(library_folder()).entries()} == {*COLOURS} - {"green"}
    assert [one.output.stem for one in job.outputs] == [c for c in COLOURS if c != "green"]
    events = []
    again = learn_many(InvertManyRequest(requests, batch=3), events.append)
    assert (again.kept, again.skipped, len(again.failures)) == (5, 5, 1)
    assert not any(event.total for event in events), "nothing is learned again"
    assert "learning on cpu" in state_line(job).plain
    assert became(job).plain == "finished, 5 of 6 differences, 1 failed"


def test_a_killed_worker_goes_on_with_the_same_batches(requests, store, tmp_path):
    requests = tuple(
        replace(one, settings=replace(one.settings, steps=60), backbone="toy") for one in requests
    )
    aside = tuple(replace(one, library=tmp_path / "aside") for one in requests)
    assert learn_many(InvertManyRequest(aside, batch=2), lambda _event: None).failures == []
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


def test_a_difference_learned_between_two_deaths_starts_the_count_anew(requests, store):
    """So that a job that gets on is never held."""
    longer = replace(requests[0].settings, steps=300)
    mortal = (replace(one, backbone="mortal", settings=longer) for one in requests[:3])
    job = store.submit(InvertManyRequest(tuple(mortal)))
    library = Library(library_folder())
    for number in range(1, 3):
        worker = start_worker(store, "--idle", "0", DIFFINV_TEST_DEATH="os.link:2")
        assert worker.wait(60) == -signal.SIGKILL
        assert len(library.entries()) == number
        store.notice_deaths()
        assert (store.get(job.id).state, store.get(job.id).deaths) == ("queued", 1)
    Worker(store, "cpu", idle=0).run()
    assert count(store.get(job.id)) == "3 of 3"


def test_each_row_fails_for_itself(requests, tmp_path):
    red, green, blue, gold, gray, pink = requests
    library = Library(library_folder())
    run_inversion(replace(red, name="green"))  # whose name is taken, by another pair
    run_inversion(replace(red, name="B.lue"))  # whose file is
    (library.folder / "gold.safetensors").write_bytes(b"junk")
    gray.pairs[0][1].unlink()
    asked = InvertManyRequest((red, green, replace(blue, name="b-lue"), gold, gray, pink), batch=6)
    report = learn_many(asked, lambda _event: None)
    assert report.kept == 2
    reasons = dict(failure.split(": ", 1) for failure in report.failures)
    assert reasons["green"].endswith("from other pictures; give the row another id.")
    assert reasons["b-lue"].startswith("The library has a file 'b-lue' already")
    assert "gold" in reasons
    assert "does not exist" in reasons["gray"]
    assert {"red", "pink"} <= {entry.name for entry in library.entries()}


def test_what_somebody_else_brings_meanwhile_is_no_fault(requests, monkeypatch):
    library = Library(library_folder())
    add, brought = Library.add, []

    def late(self, difference, *args, **more):
        name = difference.info.name
        if name in ("red", "blue") and name not in brought:
            brought.append(name)
            pair = requests[0 if name == "red" else 1].pairs
            run_inversion(replace(requests[0], name=name, pairs=pair))
        return add(self, difference, *args, **more)

    monkeypatch.setattr(Library, "add", late)
    report = learn_many(InvertManyRequest(requests[:3], batch=3), lambda _event: None)
    assert report.kept == 2
    (failure,) = report.failures
    assert failure.startswith("blue: The library already has a difference 'blue', from other")
    assert len(library.entries()) == 3


def test_settings_that_cannot_be_are_refused(requests):
    wrong = [replace(one, settings=replace(one.settings, steps=0)) for one in requests]
    with pytest.raises(UsageError, match="between 1 and"):
        learn_many(InvertManyRequest(tuple(wrong)), lambda _event: None)


@pytest.mark.parametrize("change", [("batch", 0), ("batch", -1), ("captions", [[1, 2]])])
def test_a_damaged_request_is_damage(requests, store, change):
    job = store.submit(InvertManyRequest(requests, batch=2))
    values = json.loads(to_json(job.request))
    name, value = change
    (values if name == "batch" else values["requests"][1])[name] = value
    with pytest.raises((TypeError, ValueError)):
        from_json("invert-many", json.dumps(values))
