"""PairGrid: how large they are, what they say, and one of them large."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from driving import go, shows, until
from PIL import Image, ImageColor
from textual.geometry import Size

from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.comparison import Comparison
from diffinv_tui.widgets.difference_list import what_differs
from diffinv_tui.widgets.pair_grid import grid_of
from diffinv_tui.widgets.results_grid import Result, ResultsGrid

MakeApp = Callable[..., DiffinvApp]


@pytest.mark.parametrize("room", [Size(78, 20), Size(72, 36), Size(140, 50), Size(20, 8)])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
def test_few_tiles_are_large_and_all_are_seen(room: Size, count: int) -> None:
    grid, many = grid_of(room, 24, count), grid_of(room, 24, 10_000)
    assert grid.tile_width >= many.tile_width
    assert grid.columns * grid.tile_width <= max(room.width, 20)
    if grid != many:
        rows = -(-count // grid.columns)
        assert rows * grid.row_height <= room.height + 1


def test_one_tile_fills_a_small_screen() -> None:
    assert grid_of(Size(78, 20), 24, 1).picture_rows == 17
    assert grid_of(Size(78, 20), 24, 10_000).picture_rows < 10


@pytest.mark.parametrize(
    ("a", "b", "shown"),
    [
        ("a cabin on grass", "a cabin on snow", ("… grass", "… snow")),
        ("red house", "blue house", ("red …", "blue …")),
        ("a dog", "a dog in snow", ("…", "… in snow")),
        ("this", "that", ("this", "that")),
        ("", "new", ("", "new")),
    ],
)
def test_what_two_captions_do_not_share(a: str, b: str, shown: tuple[str, str]) -> None:
    assert what_differs(a, b) == shown


@pytest.mark.asyncio
async def test_a_result_has_neighbours(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "jobs")
        await shows(pilot, "first snow on trip")
        app.screen.select(6)
        wall = app.screen.query_one(ResultsGrid)
        await until(pilot, lambda: len(wall.results) == 6)
        await pilot.press("o", "enter")
        await until(pilot, lambda: isinstance(app.screen, Comparison))
        await shows(pilot, "1 of 6")
        await pilot.press("left", "right", "right")
        await shows(pilot, "3 of 6")
        await pilot.press("escape")
        await until(pilot, lambda: wall.cursor == 2, what="the cursor followed")
        await pilot.press("escape")
        assert app.current_mode == "jobs"
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "library")


@pytest.mark.asyncio
async def test_a_large_result_and_its_tile_follow_their_files(
    full_home: Path, make_app: MakeApp
) -> None:
    app, made = make_app(full_home), full_home / "made.png"
    async with app.run_test(size=(120, 40)) as pilot:
        place = await go(pilot, "apply")
        wall = place.query_one(ResultsGrid)
        before = full_home / "pictures" / "before.png"

        def is_drawn(shade: str) -> bool:
            pair = wall._pairs.get(Result(before, made, "1 s"))
            image = pair[1] if pair else None
            return image is not None and image.getpixel((0, 0)) == ImageColor.getrgb(shade)

        for shade in ("red", "blue"):
            place.outcome.show_results([Result(before, None, "waiting")])
            place.outcome.show("all")
            wall.focus()
            await pilot.press("enter")
            await shows(pilot, "waiting   1 of 1")
            Image.new("RGB", (64, 64), shade).save(made)
            place.outcome.show_results([Result(before, made, "1 s")])
            await shows(pilot, "1 s   1 of 1")
            await pilot.press("escape")
            await until(pilot, partial(is_drawn, shade), what=shade)


@pytest.mark.asyncio
async def test_pictures_of_one_name_are_told_apart(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "apply")
        folder = full_home / "pictures" / "trip"
        (folder / "deep").mkdir()
        app.screen.outcome.show_results(
            [Result(folder / "01.png", None, "failed"), Result(folder / "deep" / "01.png", None)]
        )
        app.screen.outcome.show("all")
        await shows(pilot, "deep/01.png")
        app.screen.query_one(ResultsGrid).focus()
        await pilot.press("enter")
        await shows(pilot, "failed   1 of 2")
