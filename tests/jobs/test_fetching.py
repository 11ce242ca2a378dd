"""Jobs that fetch models: slowly, interrupted, killed, cancelled, and by a plugin itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_hub import environment, hub  # noqa: F401 - a fixture
from installing import MODULES, install
from working import start_worker, wait_for

from diffinv.contracts import CaptionerSpec
from diffinv.errors import DiffinvError
from diffinv.jobs.fetching import fetch_all, sources
from diffinv.jobs.request_json import from_json, to_json
from diffinv.jobs.requests import NETWORK, FetchRequest
from diffinv.plugins import model_states
from diffinv.plugins.loading import registry
from diffinv.plugins.model_states import missing_models, remove_model
from diffinv.plugins.model_states import model_states as all_states
from diffinv.system import hub as cache

WEIGHTS = bytes(range(256)) * 800


@pytest.fixture
def asked(hub, tmp_path, monkeypatch):  # noqa: F811
    """A hub with one model, and the environment of workers that ask it."""
    hub.files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    return environment(hub, tmp_path / "hf")


def fetching(store, asked):
    return start_worker(store, "--device", NETWORK, "--idle", "0.5", **asked)


def test_a_worker_killed_in_the_middle_goes_on_where_it_was(store, asked, hub):  # noqa: F811
    hub.slowly = 0.02
    job = store.submit(FetchRequest(("some/model",), "A model"))
    assert (job.kind, job.title, job.device) == ("fetch", "A model", NETWORK)
    worker = fetching(store, asked)
    wait_for(store, lambda: store.get(job.id).progress.step > 20_000)
    now = store.get(job.id).progress
    assert (now.phase, now.total) == ("Fetching some/model", len(WEIGHTS) + 2)
    worker.kill()
    worker.wait()
    wait_for(store, lambda: store.get(job.id).state == "queued")
    assert not cache.is_whole("some/model")
    here = cache.size_here("some/model")
    assert here > 20_000
    hub.slowly, hub.requests = 0.0, []
    assert fetching(store, asked).wait(60) == 0
    assert (store.get(job.id).state, store.get(job.id).attempts) == ("done", 2)
    (begin,) = [begin for request, begin in hub.requests if request.startswith("GET /some")]
    assert 20_000 <= int(begin.removeprefix("bytes=").rstrip("-")) <= here
    assert (cached(hub) / "model.safetensors").read_bytes() == WEIGHTS


def cached(hub) -> Path:  # noqa: F811
    from diffinv.system.local_models import find_snapshot

    return find_snapshot(hub.models[0])


def test_one_that_is_cancelled_keeps_what_has_come(store, asked, hub):  # noqa: F811
    hub.slowly = 0.02
    job = store.submit(FetchRequest(("some/model",)))
    worker = fetching(store, asked)
    wait_for(store, lambda: store.get(job.id).progress.step > 5_000)
    store.cancel(job.id)
    wait_for(store, lambda: store.get(job.id).state == "cancelled")
    worker.wait(60)
    assert not cache.is_whole("some/model")
    assert remove_model("some/model") > 5_000
    assert cache.size_here("some/model") == 0


def test_without_a_hub_the_job_fails_with_one_sentence(store, asked, hub):  # noqa: F811
    asked["HF_ENDPOINT"] = "http://127.0.0.1:9"
    job = store.submit(FetchRequest(("some/model",)))
    assert fetching(store, asked).wait(60) == 0
    error = store.get(job.id).error
    assert error.startswith("The model 'some/model' cannot be fetched (ConnectError); check the ")


def test_a_request_is_the_same_after_it_was_written_down():
    request = FetchRequest(("a/b", "captioner:own"), "Two")
    assert from_json("fetch", to_json(request)) == request
    for text in ('{"models": []}', '{"models": [1]}', '{"models": ["a/b"], "title": 3}'):
        with pytest.raises((TypeError, ValueError)):
            from_json("fetch", text)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A captioner whose plugin fetches its weights itself."""
    install(tmp_path / "site", "fetches")
    for folder in (MODULES, tmp_path / "site"):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "fetches", raising=False)
    registry.cache_clear()
    yield registry().get("captioner", "fetches")
    registry.cache_clear()


def test_a_plugin_fetches_its_own(own):
    import fetches

    (missing,) = missing_models([(own, None)])
    assert (missing.model, missing.status, missing.to_fetch) == (
        "captioner:fetches",
        "not here",
        10**6,
    )
    fetches.fails = OSError("the tape is torn")
    events = []
    (source,) = sources([missing.model])
    with pytest.raises(DiffinvError, match="of 'fetches' cannot be fetched: OSError: the tape is"):
        fetch_all([source], events.append)
    assert (events[-1].step, events[-1].is_bytes) == (500_000, True)
    (missing,) = missing_models([(own, None)])
    assert (missing.status, missing.size) == ("partly here", 500_000)
    fetches.fails = None
    (folder,) = fetch_all([source], events.append)
    assert (folder / "weights").stat().st_size == 10**6
    assert fetches.began_with == [0, 500_000]
    assert missing_models([(own, None)]) == []
    assert registry().create(own, None, "cpu").folder == folder
    assert remove_model("captioner:fetches") == 10**6
    (missing,) = missing_models([(own, None)])
    assert missing.status == "not here"


def test_who_ends_a_plugins_fetching_is_heard(own):
    def end(_event):
        raise KeyError("over")

    with pytest.raises(KeyError, match="over"):
        fetch_all(sources(["captioner:fetches"]), end)


def test_every_part_says_what_it_is_for():
    for state in all_states():
        own = state.spec.factory.startswith("diffinv_")
        assert not own or (state.spec.purpose.endswith(".") and "\n" not in state.spec.purpose)
    assert {s.status for s in all_states() if s.spec.id in ("vlm", "endpoint")} == {"yours"}


def test_another_model_that_a_part_takes_stands_in(monkeypatch):
    whole = {"other/model"}
    monkeypatch.setattr(cache, "is_whole", lambda model: model in whole)
    defaults = {"model": "usual/model", "stand_ins": ["other/model"]}
    spec = CaptionerSpec("c", "C", "m:f", defaults=defaults)
    assert missing_models([(spec, None)]) == []
    whole.clear()
    assert [state.model for state in missing_models([(spec, None)])] == ["usual/model"]
    error = model_states.MissingModelsError(missing_models([(spec, None), (spec, "a/b")]))
    assert str(error) == (
        "2 models are not on this machine: C, 'a/b'; fetch them with 'diffinv models pull "
        "usual/model a/b', or name folders that hold them as ID=FOLDER."
    )
