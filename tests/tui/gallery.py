"""The pictures of the app that are tests, and those that are in the docs: how to get to each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from driving import go, shows, unfold, until
from textual.pilot import Pilot
from textual.widgets import Button, OptionList

from diffinv_tui.screens.jobs import JobsScreen
from diffinv_tui.widgets.difference_list import DifferenceList
from diffinv_tui.widgets.difference_view import Figure
from diffinv_tui.widgets.pair_grid import PairGrid
from diffinv_tui.widgets.picture import Picture
from diffinv_tui.widgets.picture_field import PictureField
from diffinv_tui.widgets.results_grid import ResultsGrid
from diffinv_tui.widgets.slider import Slider

Visit = Callable[[Pilot[Any], Path], Awaitable[None]]


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until every picture that is on its way is there."""
    app = pilot.app

    def is_quiet() -> bool:
        tiles = [t for t in app.screen.query(PairGrid) if t.display and t.size.area]
        return not any(t._missing for t in tiles) and not [
            worker for worker in app.workers if worker.group not in ("poll", "look")
        ]

    for _ in range(2):
        await until(pilot, is_quiet, what="pictures")
        await pilot.pause(0.1)
    for widget in app.screen.query("Input, TextArea"):
        widget.cursor_blink = False


async def _figures(pilot: Pilot[Any], count: int) -> None:
    def there() -> bool:
        figures = [f for f in pilot.app.screen.query(Figure) if f.query_one(Picture).image]
        return len(figures) >= count

    await until(pilot, there, what=f"{count} pictures")


async def welcome(pilot: Pilot[Any], home: Path) -> None:
    await shows(pilot, "Run the demo")
    await _figures(pilot, 2)


async def library(pilot: Pilot[Any], home: Path) -> None:
    await shows(pilot, "11 differences")
    if pilot.app.size.width >= 100:
        await _figures(pilot, 3)


async def table(pilot: Pilot[Any], home: Path) -> None:
    await library(pilot, home)
    await pilot.press("v", "down", "space", "space")
    await shows(pilot, "2 marked")


async def search(pilot: Pilot[Any], home: Path) -> None:
    await library(pilot, home)
    await pilot.press("slash", *"tag:light")
    await shows(pilot, "3 differences")


async def detail(pilot: Pilot[Any], home: Path) -> None:
    await library(pilot, home)
    await pilot.press("right", "enter")
    await shows(pilot, "Rename")
    await _figures(pilot, 3)


async def damaged(pilot: Pilot[Any], home: Path) -> None:
    await shows(pilot, "12 differences")
    shelf = pilot.app.screen.query_one(DifferenceList)
    shelf.go_to(home / "diffinv" / "library" / "broken.safetensors")
    await shows(pilot, "Press d")


async def new(pilot: Pilot[Any], home: Path) -> None:
    screen = await go(pilot, "new")
    a, a_prime = screen.query(PictureField)
    a.choose(home / "pictures" / "before.png")
    a_prime.choose(home / "pictures" / "after.png")
    await until(pilot, lambda: not screen.query_one("#start", Button).disabled)
    screen.query_one("#name").focus()


async def picker(pilot: Pilot[Any], home: Path) -> None:
    """A picture is being chosen."""
    await go(pilot, "new")
    pilot.app.picked = home / "pictures" / "trip"
    await pilot.press("enter")
    await shows(pilot, "06.png")
    await pilot.press("down", "down")
    picked = pilot.app.screen.query(Picture).first()
    await until(pilot, lambda: picked.image is not None)


async def new_settings(pilot: Pilot[Any], home: Path) -> None:
    await new(pilot, home)
    await unfold(pilot)
    pilot.app.screen.query_one("#steps").focus()


async def jobs(pilot: Pilot[Any], home: Path) -> None:
    await go(pilot, "jobs")
    await shows(pilot, "27 of 40 steps")
    await _figures(pilot, 3)


async def job_failed(pilot: Pilot[Any], home: Path) -> None:
    screen: JobsScreen = await go(pilot, "jobs")
    screen.select(4)
    await shows(pilot, "not enough memory")


async def job_results(pilot: Pilot[Any], home: Path) -> None:
    screen: JobsScreen = await go(pilot, "jobs")
    screen.select(6)
    await until(pilot, lambda: screen.query_one(ResultsGrid).total == 6)


async def apply(pilot: Pilot[Any], home: Path) -> None:
    screen = await go(pilot, "apply")
    folder = home / "diffinv" / "library"
    screen.choose(
        [
            ("first snow", folder / "first-snow.safetensors"),
            ("into the night", folder / "into-the-night.safetensors"),
        ]
    )
    screen.add_image(home / "pictures" / "trip")
    await until(pilot, lambda: len(screen.query(Slider)) == 2)
    screen.query(Slider).last().value = -0.4
    await until(pilot, lambda: not screen.query_one("#start", Button).disabled)
    await until(pilot, lambda: screen.query_one(ResultsGrid).total == 6)
    screen._started = 6
    screen.outcome.show("all")
    screen.jobs_changed(pilot.app.jobs)
    screen.query(Slider).last().focus()


async def large(pilot: Pilot[Any], home: Path) -> None:
    await job_results(pilot, home)
    screen = pilot.app.screen
    screen.query_one(ResultsGrid).focus()
    await pilot.press("right", "enter")
    await _figures(pilot, 2)


async def models(pilot: Pilot[Any], home: Path) -> None:
    """Nothing has been fetched; the cursor is on a model for photographs."""
    place = await go(pilot, "models")
    await shows(pilot, "Stable Diffusion XL")
    place.query_one(OptionList).highlighted = next(
        i for i, row in enumerate(place._listed) if row and row.state.spec.id == "sdxl"
    )
    await shows(pilot, "Fetch all (32.1 GB)")


async def plugins(pilot: Pilot[Any], home: Path) -> None:
    await go(pilot, "plugins")
    await shows(pilot, "not installed")


async def settings(pilot: Pilot[Any], home: Path) -> None:
    await go(pilot, "settings")
    await shows(pilot, "the first there is")


async def help_panel(pilot: Pilot[Any], home: Path) -> None:
    await library(pilot, home)
    await pilot.press("question_mark")
    await shows(pilot, "Rename")
