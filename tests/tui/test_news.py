"""What has become of jobs is said once: when it happens, or at the next start of the app."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, until
from textual.widgets import Static

from diffinv.jobs.job import Job, JobProgress
from diffinv.jobs.launch import ensure_worker
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.jobs.store import JobStore
from diffinv.jobs.tasks import run_inversion
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv.plugins.loading import registry
from diffinv.running.progress import AppliedImage
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.jobs import JobsScreen
from diffinv_tui.screens.notice import Notice
from diffinv_tui.widgets.results_grid import ResultsGrid

pytestmark = pytest.mark.asyncio
MakeApp = Callable[..., DiffinvApp]


def job(app: DiffinvApp, id: int) -> Job:
    return next(job for job in app.store.jobs() if job.id == id)


def night(app: DiffinvApp, state: str = "interrupted") -> None:
    """One folder was interrupted at night, another one is done."""
    store: Any = app.store
    reason = "its worker stopped unexpectedly 3 times (perhaps for lack of memory)"
    store._change(
        3,
        kind="apply",
        title="snow on Iceland",
        request=job(app, 2).request,
        state=state,
        outputs=[AppliedImage(Path(f"/b/{n}"), Path(f"/out/{n}"), 1.0) for n in range(132)],
        progress=JobProgress("Applying", 5, 9, pictures=200, share=0.66),
        error=f"Job 3 was interrupted: {reason}.",
        is_news=True,
    )
    store._change(6, is_news=True)


async def test_what_happened_at_night_is_told_at_the_next_start_and_once(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    night(app)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "While you were away")
        said = " ".join(screen(app).split())
        assert "‖ snow on Iceland 132 of 200 done, then interrupted: its worker stopped" in said
        assert "✓ first snow on trip finished, 6 of 6" in said
        assert "u goes on with it, Enter shows it." in said
        await pilot.press("u")
        await until(pilot, lambda: ("resume", 3) in app.store.calls)
        await until(pilot, lambda: _current(app) == 3, what="the job is shown")
        assert ("told", 3, 6) in [(c[0], *sorted(c[1:])) for c in app.store.calls if c[0] == "told"]
    again = make_app(full_home, store=app.store)
    async with again.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: again.jobs)
        await pilot.pause()
        assert not isinstance(again.screen, Notice)


def _current(app: DiffinvApp) -> int | None:
    place = app.screen
    return place.current.id if isinstance(place, JobsScreen) and place.current else None


async def test_where_nothing_is_to_go_on_with_enter_shows_what_finished(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    app.store._change(6, is_news=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "first snow on trip")
        assert "goes on" not in screen(app)
        await pilot.press("u")
        assert isinstance(app.screen, Notice)
        await pilot.press("enter")
        await until(pilot, lambda: _current(app) == 6)


async def test_many_have_room_on_the_smallest_screen(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    night(app)
    for number in range(20, 27):
        app.store._put(replace(job(app, 3), id=number, title=f"folder {number}"))
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "And 4 other jobs. u goes on with it")


async def test_another_worker_that_goes_on_is_told(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.jobs)
        app.store._change(7, state="queued", deaths=1, is_news=True)
        await shows(pilot, "its worker stopped")
        await until(pilot, lambda: ("told", 7) in app.store.calls)


async def test_the_same_twice_is_offered_to_be_shown(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    app.store._change(8, state="running", progress=JobProgress(pictures=6, share=0.1))
    app.store._change(9, state="done")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.jobs)
        before = len(app.store.list)
        given: list[Job] = []
        app.submit([job(app, 8).request], given.extend)
        await shows(pilot, "This is running already")
        assert "0 of 6" in screen(app)
        assert [job.id for job in given] == [8]
        await pilot.press("enter")
        await until(pilot, lambda: _current(app) == 8)
        assert len(app.store.list) == before


async def test_from_a_job_that_is_done_to_the_one_that_waited_for_it_and_its_results(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    app.store._change(8, waits_for=7)
    async with app.run_test(size=(120, 40)) as pilot:
        place = await go(pilot, "jobs")
        await until(pilot, lambda: _current(app) == 7)
        app.store._change(7, state="done")
        await until(pilot, lambda: _current(app) == 8)
        assert not isinstance(app.focused, ResultsGrid)
        app.store._change(8, state="running")
        await until(pilot, lambda: place.current.state == "running")
        app.store._change(8, state="done", outputs=job(app, 6).outputs)
        await until(pilot, lambda: isinstance(app.focused, ResultsGrid))
        assert _current(app) == 8


async def test_the_app_starts_a_worker_where_nobody_else_is_left_to_do_it(
    full_home: Path, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diffinv_tui.app.LAUNCH", 0.05)
    launched: list[object] = []
    app = make_app(full_home, launcher=launched.append)
    app.store._change(8, held=True)
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.jobs)
        await pilot.pause(0.3)
        assert not launched  # there is one at work, whom job 9 waits for
        app.store._change(9, state="done")
        app.store._change(7, state="queued", deaths=1)
        await until(pilot, lambda: launched)


@pytest.mark.parametrize(("waiting", "stopped"), [(0, 0), (2, 0), (0, 1)])
async def test_the_line_at_the_top_marks_what_waits_and_what_is_interrupted(
    full_home: Path, make_app: MakeApp, waiting: int, stopped: int
) -> None:
    app = make_app(full_home)
    gone = {"queued": waiting == 0, "interrupted": stopped == 0}
    app.store.list = [j for j in app.store.list if not gone.get(j.state, False)]
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.jobs)
        marks = "".join(f" {mark}{n}" for mark, n in (("○", waiting), ("‖", stopped)) if n)
        await shows(pilot, f"3 Jobs{marks}  4 Apply")
        await shows(pilot, "● winter 68 %")


async def test_the_form_says_how_long_it_takes_once_a_job_has_told(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    app.store.list = [job for job in app.store.list if job.kind == "invert"]
    snow = full_home / "diffinv" / "library" / "first-snow.safetensors"
    async with app.run_test(size=(80, 24)) as pilot:
        place = await go(pilot, "apply")
        place.choose([("first snow", snow)])
        place.add_image(full_home / "pictures" / "trip")
        await shows(pilot, "The first picture tells how long")
        request = replace(place.request(), out=full_home / "tried")
        tried = app.store.submit(request)
        done = [AppliedImage(Path("/b"), Path("/out"), 600.0)]
        app.store._change(tried.id, state="done", outputs=done, started=0.0, finished=630.0)
        await shows(pilot, "About 1 h, like earlier ones")


async def test_a_folder_interrupted_at_night_goes_on_by_day(home: Path, workers: None) -> None:
    """Real workers: one is told to end, as when the machine is shut down."""
    shown = Path(registry().backbones["diorama"].defaults["example"])
    pair = (shown / "a.png", shown / "a_prime.png")
    run_inversion(InvertRequest(pairs=(pair,), name="d", settings=inversion_settings(steps=2)))
    settings = ApplicationSettings(steps=4)
    out = home / "out"
    request = ApplyRequest((("d", 1.0),), (shown / "b",), out, settings=settings, batch=1)
    evening = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with evening.run_test() as pilot:
        await until(pilot, lambda: evening.registry)
        evening.submit([request], lambda _jobs: None)
        await until(pilot, lambda: evening.jobs and len(evening.jobs[0].outputs) > 1, 120)
    worker = evening.store.worker("cpu")
    assert worker
    os.kill(worker.pid, signal.SIGTERM)
    while worker.is_alive():  # it stops between two steps
        await asyncio.sleep(0.05)
    morning = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with morning.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(morning.screen, Notice), what="the notice")
        done = len(morning.jobs[0].outputs)
        said = " ".join(str(part.render()) for part in morning.screen.query(Static))
        assert f"{done} of 9 done, then interrupted: its worker was told to end" in said
        await pilot.press("u")
        await until(pilot, lambda: morning.current_mode == "jobs")
        shares = [morning.jobs[0].share]
        while morning.jobs[0].state != "done":
            shares.append(morning.jobs[0].share)
            await pilot.pause(0.05)
        assert shares == sorted(shares)
        assert shares[0] >= done / 9
        await until(pilot, lambda: len(morning.screen.query_one(ResultsGrid).results) == 9)
    assert len(list(out.glob("*.png"))) == 9
    noon = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with noon.run_test() as pilot:
        await until(pilot, lambda: noon.jobs)
        await pilot.pause()
        assert not isinstance(noon.screen, Notice)
