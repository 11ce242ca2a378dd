"""The models in the app: from an empty home to a difference learned on a model that was fetched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import end_workers
from driving import go, screen, shows, until
from fake_hub import FakeHub, environment
from installing import MODULES, install
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Select

from diffinv.jobs.launch import ensure_worker
from diffinv.jobs.requests import FetchRequest, InvertRequest
from diffinv.jobs.store import JobStore
from diffinv.plugins.loading import registry
from diffinv.system import hub as cache
from diffinv_tui.app import DiffinvApp
from diffinv_tui.config import load_preferences, preferences_file
from diffinv_tui.widgets.picture_field import PictureField

pytestmark = pytest.mark.asyncio
MakeApp = Callable[..., DiffinvApp]

MODELS = ("some/model", "some/words", "some/space")
WEIGHTS = bytes(range(250)) * 800


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch):
    """A hub with three models, for this process and for workers, and the plugin that uses them."""
    made = FakeHub(*MODELS)
    made.files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    for name, value in environment(made, home / "hf").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hf" / "hub"))
    install(home / "site", "remote")
    for folder in (MODULES, home / "site"):
        monkeypatch.syspath_prepend(str(folder))
    registry.cache_clear()
    registry().get("backbone", "remote")
    for name, colour in (("before", "red"), ("after", "blue")):
        Image.new("RGB", (24, 24), colour).save(home / f"{name}.png")
    yield made
    end_workers(home / "diffinv")
    registry.cache_clear()
    made.server.shutdown()
    made.server.server_close()


async def highlight(pilot: Pilot[Any], text: str) -> None:
    """In the list of models, go to the one of this title."""
    place = pilot.app.screen
    await until(pilot, lambda: any(row.title == text for row in place._rows), what=text)
    place.query_one(OptionList).highlighted = next(
        index for index, row in enumerate(place._listed) if row and row.title == text
    )
    await until(pilot, lambda: place.current and place.current.title == text)
    await pilot.pause()


async def choose_all(pilot: Pilot[Any], home: Path) -> Any:
    """The form of a new difference, with two pictures and the model that is far away."""
    new = await go(pilot, "new")
    for field, name in zip(new.query(PictureField), ("before", "after"), strict=True):
        field.choose(home / f"{name}.png")
    await until(pilot, lambda: new.query_one("#backbone", Select).value)
    new.query_one("#backbone", Select).value = "remote"
    return new


async def test_from_an_empty_home_to_a_difference_on_a_model_that_was_fetched(
    home: Path, hub: FakeHub
) -> None:
    hub.slowly, hub.cut = 0.02, 150_000
    store = JobStore()
    app = DiffinvApp(store=store, launcher=ensure_worker)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        new = await choose_all(pilot, home)
        await shows(pilot, "Fetch all (600.0 kB)")
        for name in ("Not on this machine yet", "Remote (200.0", "Far words (2", "Far space"):
            assert name in screen(app), name
        assert new.query_one("#start", Button).disabled
        await pilot.click("#fetch")
        await shows(pilot, "Fetching, ")
        await until(pilot, lambda: cache.size_here("some/words") > 20_000, 60)
        worker = store.worker("network")
        assert worker is not None
        psutil.Process(worker.pid).kill()
    assert cache.is_whole("some/model")
    app = DiffinvApp(store=store, launcher=ensure_worker)  # closed and opened again
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.jobs and app.jobs[0].state == "done", 90, "the fetching")
        assert (app.jobs[0].attempts, app.jobs[0].kind) == (2, "fetch")
        assert all(map(cache.is_whole, MODELS))
        fetched = [request for request, _ in hub.requests if request.startswith("GET /some/model")]
        assert len(fetched) <= 2 * len(hub.files)
        await go(pilot, "models")
        await highlight(pilot, "Remote")
        await shows(pilot, "here, 200.0 kB")
        await pilot.press("u")
        await shows(pilot, "New differences are drawn by Remote")
        new = await choose_all(pilot, home)
        assert new.query_one("#backbone", Select).value == "remote"
        await until(pilot, lambda: not new.query_one("#start", Button).disabled)
        await pilot.press("ctrl+s")
        learned = lambda: [j.state for j in app.jobs if j.kind == "invert"]  # noqa: E731
        await until(pilot, lambda: learned() == ["done"], 90, "the learning")
    assert load_preferences(preferences_file())[0].backbone == "remote"


async def test_a_form_that_is_open_sees_that_all_is_there(home: Path, hub: FakeHub) -> None:
    app = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        new = await choose_all(pilot, home)
        await shows(pilot, "Fetch all (600.0 kB)")
        await pilot.click("#fetch")
        await until(pilot, lambda: not new.query_one("#start", Button).disabled, 60, "the models")
        assert not new.query_one("#fetch").display


async def test_without_a_hub_it_says_so_and_goes_on_later(
    home: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    app = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await go(pilot, "models")
        await highlight(pilot, "Far words")
        await pilot.press("f")
        await until(pilot, lambda: app.jobs and app.jobs[0].state == "failed", 60, "the failure")
        await shows(pilot, "cannot be fetched (ConnectError)")
        await shows(pilot, "200.0 kB to fetch")
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        await pilot.press("f")
        await until(pilot, lambda: cache.is_whole("some/words"), 60, "the model")
        await shows(pilot, "here, 200.0 kB")
        assert not cache.size_here("some/model")


async def test_a_model_is_removed_when_one_is_sure(
    full_home: Path, hub: FakeHub, make_app: MakeApp
) -> None:
    folder = cache.cache_of("some/model")
    for path, data in {"snapshots/c0/model.safetensors": WEIGHTS, "refs/main": b"c0"}.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(data)
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        place = await go(pilot, "models")
        await highlight(pilot, "Remote")
        await shows(pilot, "Fetch all (400.0 kB)")
        await pilot.press("d")
        await shows(pilot, "Enter frees 200.0 kB, Escape keeps it.")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is place)
        assert cache.is_whole("some/model")
        await pilot.press("d")
        await shows(pilot, "Remove Remote from this machine?")
        await pilot.press("enter")
        await shows(pilot, "200.0 kB are free again")
        assert cache.size_here("some/model") == 0
        await shows(pilot, "Fetch all (600.0 kB)")
        await pilot.press("f")
        await until(pilot, lambda: "waits" in screen(app))
        (job,) = [job for job in app.jobs if job.kind == "fetch"]
        assert isinstance(job.request, FetchRequest)
        assert job.request == FetchRequest(MODELS, "Remote and 2 more")


async def test_what_a_job_fetches_already_is_not_asked_for_again(
    full_home: Path, hub: FakeHub, make_app: MakeApp
) -> None:
    app = make_app(full_home, jobs=False)
    app.store.submit(FetchRequest(("some/words",)))
    async with app.run_test(size=(120, 40)) as pilot:
        new = await choose_all(pilot, full_home)
        await shows(pilot, "Fetch all (400.0 kB)")
        await pilot.click("#fetch")
        await shows(pilot, "Waiting to be fetched")
        assert new.query_one("#fetch").disabled
        assert app.store.jobs()[-1].request.models == ("some/model", "some/space")


async def test_a_checkpoint_of_ones_own(full_home: Path, hub: FakeHub, make_app: MakeApp) -> None:
    (full_home / "mine.safetensors").write_bytes(b"mine")
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        models = await go(pilot, "models")
        await highlight(pilot, "Remote")
        await pilot.press("o")
        await until(pilot, lambda: app.screen is not models and app.screen.query(Input))
        for text, problem in (
            ("nowhere/x", "is not on this machine"),
            ("./pictures", "no weights"),
        ):
            app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await shows(pilot, problem)
        ask = app.screen
        await pilot.press("ctrl+f")
        await shows(pilot, "mine.safetensors")
        await pilot.press(*"mine")
        await until(pilot, lambda: "pictures/" not in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is ask)
        assert ask.query_one(Input).value == str(full_home / "mine.safetensors")
        await pilot.press("enter")
        await shows(pilot, "mine (Remote)")
        await highlight(pilot, "mine (Remote)")
        await pilot.press("u")
        await shows(pilot, "New differences are drawn by mine (Remote)")
        new = await go(pilot, "new")
        choice = f"remote={full_home / 'mine.safetensors'}"
        await until(pilot, lambda: new.query_one("#backbone", Select).value == choice)
        assert isinstance(new.request(), InvertRequest)
        assert new.request().backbone == choice
        await until(pilot, lambda: load_preferences(preferences_file())[0].backbone == choice)
        assert load_preferences(preferences_file())[0].checkpoints == (f"backbone:{choice}",)
        settings = await go(pilot, "settings")
        assert settings.query_one("#backbone", Select).value == choice
        await go(pilot, "models")
        await highlight(pilot, "mine (Remote)")
        await pilot.press("d")
        await until(pilot, lambda: load_preferences(preferences_file())[0].checkpoints == ())
        assert load_preferences(preferences_file())[0].backbone == ""
        assert (full_home / "mine.safetensors").exists()


async def test_a_model_that_does_not_suit_says_so_in_the_form(
    full_home: Path, make_app: MakeApp
) -> None:
    for name in ("p", "q"):
        colour = (120, 20, 60) if name == "p" else (230, 120, 110)
        Image.new("RGB", (900, 700), colour).save(full_home / f"{name}.jpg")
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        for field, name in zip(new.query(PictureField), "pq", strict=True):
            field.choose(full_home / f"{name}.jpg")
        await shows(pilot, "! Diorama draws only small")
        await until(pilot, lambda: not new.query_one("#start", Button).disabled)
        place = await go(pilot, "apply")
        place.choose([("sunset", app.library.find("sunset"))])
        place.add_image(full_home / "p.jpg")
        await shows(pilot, "! Diorama draws only small")
        await shows(pilot, "900 × 700")
