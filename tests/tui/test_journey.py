"""From an empty home to results, with a real worker and the embedded backbone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from driving import shows, until
from textual.pilot import Pilot
from textual.widgets import Button, Input
from textual.widgets._collapsible import CollapsibleTitle

from diffinv.jobs.launch import ensure_worker
from diffinv.jobs.marks import read_marks
from diffinv.jobs.store import JobStore
from diffinv.plugins.loading import registry
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.pickers import Picker
from diffinv_tui.trying import STRENGTHS
from diffinv_tui.widgets.chosen_rows import Chosen
from diffinv_tui.widgets.one_picture import OnePicture
from diffinv_tui.widgets.picture_field import PictureField
from diffinv_tui.widgets.results_grid import ResultsGrid
from diffinv_tui.widgets.slider import Slider

pytestmark = pytest.mark.asyncio


def example_pictures(home: Path, count: int) -> Path:
    """A folder with so many of the pictures that come with the embedded backbone."""
    shown = Path(registry().backbones["diorama"].defaults["example"])
    (home / "b").mkdir()
    for path in sorted((shown / "b").glob("*.png"))[:count]:
        shutil.copy(path, home / "b" / path.name)
    return home / "b"


@pytest.fixture
def example(home: Path) -> Path:
    """The pictures of the embedded backbone, three of them in a folder, where the app starts."""
    shown = Path(registry().backbones["diorama"].defaults["example"])
    for name in ("a.png", "a_prime.png"):
        shutil.copy(shown / name, home / name)
    example_pictures(home, 3)
    return home


def states(app: DiffinvApp) -> dict[int, str]:
    return {job.id: job.state for job in app.jobs}


async def test_the_demo(home: Path, workers: None) -> None:
    app = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Show a change once")
        await pilot.press("x")
        await until(pilot, lambda: len(app.jobs) == 2, what="two jobs")
        assert app.current_mode == "jobs"
        await shows(pilot, "it/s", 90)
        await until(pilot, lambda: set(states(app).values()) == {"done"}, 180, "the demo")
        wall = app.screen.query_one(ResultsGrid)
        await until(pilot, lambda: app.focused is wall, what="the results' focus")
        assert len(wall.results) == 9
        await pilot.press("enter")
        await shows(pilot, "1 of 9")
        await pilot.press("escape", "escape", "down", "enter")  # to what was learned
        await shows(pilot, "Preview")
        await pilot.press("a")
        results = home / "diffinv" / "results" / "demo"
        assert len(list(results.glob("*.png"))) == 9
        await _try_then_all(pilot, home)


async def _try_then_all(pilot: Pilot[Any], home: Path) -> None:
    """From the demo's difference to results of one's own: tried, swept, and made of all."""
    app: DiffinvApp = pilot.app  # type: ignore[assignment]
    await until(pilot, lambda: app.current_mode == "apply" and app.screen.query(Chosen))
    apply = app.screen
    apply.add_image(example_pictures(home, 2))  # type: ignore[attr-defined]
    await write(pilot, "out", str(home / "out"))
    await open_more(pilot)
    await write(pilot, "steps", "4")
    await pilot.press("ctrl+t")
    one = apply.query_one(OnePicture)
    await until(pilot, lambda: one.results and one.results[0].after, 60, "the one that is tried")
    assert one.results[0].after == home / "out" / "strength +1" / one.results[0].before.name
    apply.query_one(Slider).focus()  # in a text line the key deletes a word
    await pilot.press("ctrl+w")
    await until(pilot, lambda: one.strip.has_focus, what="the strip's focus")
    swept = lambda: [step.result is not None for step in one.strip.steps]  # noqa: E731
    await until(pilot, lambda: swept() == [True] * len(STRENGTHS), 60, "the sweep")
    assert len(app.jobs) == 4
    await pilot.press("right", "enter")
    assert apply.query_one(Slider).value == 1.5
    await pilot.press("ctrl+s")
    wall = apply.query_one(ResultsGrid)
    made = lambda: sum(result.after is not None for result in wall.results)  # noqa: E731
    await until(pilot, lambda: made() == 2, 60, "two results")
    assert len(list((home / "out").glob("*.png"))) == 2
    assert wall.has_focus
    await pilot.press("asterisk", "right", "x")
    await shows(pilot, "★ 01.png")
    await shows(pilot, "✗ 02.png")
    await pilot.press("f")
    await shows(pilot, "starred: 1 of 2")
    assert [result.before.name for result in wall.results] == ["01.png"]
    await pilot.app.workers.wait_for_complete()
    assert read_marks(home / "out") == {"01.png": "starred", "02.png": "rejected"}


async def pick(pilot: Pilot[Any], name: str) -> None:
    """In the file dialog, find a name by its letters."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Picker), what="the dialog")
    picker = pilot.app.screen
    await shows(pilot, "Escape closes")
    await pilot.press(*name)

    def there() -> bool:
        item = picker._current
        return item is not None and item.path.name == name

    await until(pilot, there, what=f"{name} under the cursor")


async def tab_to(pilot: Pilot[Any], id: str) -> None:
    """Go to a field by the Tab key."""
    for _ in range(40):
        if pilot.app.focused is not None and pilot.app.focused.id == id:
            return
        await pilot.press("tab")
    raise AssertionError(f"Tab leads to no {id}")


async def open_more(pilot: Pilot[Any]) -> None:
    """Show the settings that are folded away."""
    for _ in range(40):
        await pilot.press("tab")
        if isinstance(pilot.app.focused, CollapsibleTitle):
            await pilot.press("enter")
            await until(pilot, lambda: pilot.app.screen.query("#device"), what="the settings")
            return
    raise AssertionError("Tab leads to no further settings")


async def write(pilot: Pilot[Any], id: str, text: str) -> None:
    """Type into a field in place of what is there."""
    await tab_to(pilot, id)
    await pilot.press("ctrl+a", "backspace")
    for character in text:
        await pilot.press(_KEYS.get(character, character))
    await until(pilot, lambda: pilot.app.screen.query_one(f"#{id}", Input).value == text)


_KEYS = {" ": "space", "/": "slash", "-": "minus", ".": "full_stop", "_": "underscore"}


async def test_own_difference_then_a_folder_by_keys_alone(
    home: Path, workers: None, example: Path
) -> None:
    app = DiffinvApp(store=JobStore(), launcher=ensure_worker)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "Show a change once")
        await pilot.press("n")
        await until(pilot, lambda: app.current_mode == "new" and app.screen.is_mounted)
        new = app.screen
        for name in ("a.png", "a_prime.png"):
            await until(pilot, lambda: isinstance(app.focused, PictureField))
            await pilot.press("enter")
            await pick(pilot, name)
            await pilot.press("enter")
            await until(pilot, lambda: app.screen is new)
        await write(pilot, "name", "mine")
        await write(pilot, "tags", "home first")
        await open_more(pilot)
        await write(pilot, "steps", "60")
        await shows(pilot, "1 pair, to be named mine")
        await until(pilot, lambda: not new.query_one("#start", Button).disabled)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: any(j.progress.step > 3 for j in app.jobs), 90, "steps")
        await pilot.press("c")
        await until(pilot, lambda: states(app)[1] == "cancelled", 60, "cancelled")
        await pilot.press("u")
        await until(pilot, lambda: states(app)[1] == "done", 120, "done after all")
        await shows(pilot, "60 steps learned")
        assert app.jobs[0].attempts == 2

        await pilot.press("escape")
        await shows(pilot, "1 difference")
        await pilot.press("a")
        await until(pilot, lambda: app.current_mode == "apply" and app.screen.query(Chosen))
        apply = app.screen
        await until(pilot, lambda: isinstance(app.focused, Slider), what="the slider's focus")
        await pilot.press("pagedown", "pagedown", "pagedown", "pagedown")
        await pilot.press("ctrl+o")
        await pick(pilot, "b")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is apply)
        await write(pilot, "out", str(home / "out"))
        await open_more(pilot)
        await write(pilot, "steps", "4")
        await shows(pilot, "3 pictures, with Diorama")
        await until(pilot, lambda: not apply.query_one("#start", Button).disabled)
        await pilot.press("ctrl+s")
        wall = apply.query_one(ResultsGrid)
        done = lambda: sum(result.after is not None for result in wall.results)  # noqa: E731
        await until(pilot, lambda: done() == 3, 60, "three results")
        assert len(list((home / "out").glob("*.png"))) == 3
        assert app.jobs[0].request.differences[0][1] == -1
        assert [path.name for path in app.jobs[0].request.images] == ["b"]
        await until(pilot, lambda: isinstance(app.focused, ResultsGrid))
        await pilot.press("enter")
        await shows(pilot, "After")


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
