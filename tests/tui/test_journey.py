"""From an empty home to results, with a real worker and the embedded backbone."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest
from driving import go, screen, shows, until
from textual.widgets import Button, Input

from diffinv.jobs.launch import ensure_worker
from diffinv.jobs.store import JobStore
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.apply import Chosen
from diffinv_tui.widgets.picture_field import PictureField
from diffinv_tui.widgets.slider import Slider
from diffinv_tui.widgets.wall import Wall

pytestmark = pytest.mark.asyncio


@pytest.fixture
def workers():
    """End the workers that a test has started."""
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    yield
    for process in psutil.Process().children(recursive=True):
        if process.pid not in before:
            process.send_signal(signal.SIGKILL)


def states(app: DiffinvApp) -> dict[int, str]:
    return {job.id: job.state for job in app.jobs}


async def test_demo_then_own_difference_then_folder(home: Path, workers: None) -> None:
    app = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Show a change once")
        await pilot.press("x")
        await until(pilot, lambda: len(app.jobs) == 2, what="two jobs")
        assert app.current_mode == "jobs"
        await shows(pilot, "it/s", 90)
        await until(pilot, lambda: set(states(app).values()) == {"done"}, 180, "the demo")
        await shows(pilot, "Enter opens demo")
        await pilot.press("enter")
        await shows(pilot, "Preview")
        assert "demo" in screen(app)
        await pilot.press("escape")
        results = home / "diffinv" / "results" / "demo"
        assert len(list(results.glob("*.png"))) == 9

        # a difference from one's own pictures
        example = Path(app.registry.backbones["diorama"].defaults["example"])
        new = await go(pilot, "new")
        a, a_prime = new.query(PictureField)
        a.choose(example / "a.png")
        a_prime.choose(example / "a_prime.png")
        new.query_one("#name", Input).value = "mine"
        new.query_one("#tags", Input).value = "home first"
        new.query_one("#steps", Input).value = "400"
        await until(pilot, lambda: not new.query_one("#start", Button).disabled)
        await shows(pilot, "1 pair, to be named mine")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: states(app).get(3) == "running", 60, "running")
        await until(pilot, lambda: any(j.id == 3 and j.progress.step > 3 for j in app.jobs), 60)
        await pilot.press("c")
        await until(pilot, lambda: states(app)[3] == "cancelled", 60, "cancelled")
        await shows(pilot, "cancelled")
        await pilot.press("u")
        await until(pilot, lambda: states(app)[3] == "running", 60, "resumed")
        await pilot.press("c")
        await until(pilot, lambda: states(app)[3] == "cancelled", 60, "cancelled again")

        # a folder, with what the demo learned
        await go(pilot, "library")
        await shows(pilot, "1 difference")
        await pilot.press("a")
        await until(pilot, lambda: app.current_mode == "apply" and app.screen.query(Chosen))
        apply = app.screen
        apply.add_image(example / "b" / "01.png")
        apply.add_image(example / "b" / "02.png")
        apply.query_one("#out", Input).value = str(home / "out")
        apply.query_one("#steps", Input).value = "4"
        apply.query_one(Slider).value = -1
        await until(pilot, lambda: not apply.query_one("#start", Button).disabled)
        await shows(pilot, "2 pictures")
        await pilot.press("ctrl+s")
        wall = apply.query_one(Wall)
        done = lambda: sum(result.after is not None for result in wall.results)  # noqa: E731
        await until(pilot, lambda: done() == 2, 60, "two results")
        assert len(list((home / "out").glob("*.png"))) == 2
        assert app.jobs[0].request.differences[0][1] == -1
        await pilot.press("enter")
        await shows(pilot, "B′")


async def test_closing_the_app_harms_no_job(home: Path, workers: None) -> None:
    first = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with first.run_test() as pilot:
        await shows(pilot, "Run the demo")
        await pilot.press("x")
        await until(pilot, lambda: "running" in states(first).values(), 60)
    second = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with second.run_test() as pilot:
        await until(pilot, lambda: "running" in states(second).values(), 20)
        job = next(job for job in second.jobs if job.state == "running")
        other = JobStore()
        second.store.cancel(job.id)
        await until(pilot, lambda: states(second)[job.id] == "cancelled", 60)
        assert other.get(job.id).state == "cancelled"
