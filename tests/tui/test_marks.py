"""Results that are kept, rejected and starred: seen, filtered, and there again later."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, until
from textual.pilot import Pilot

from diffinv.errors import DiffinvError
from diffinv.jobs.manifest import FILE as MANIFEST
from diffinv.jobs.marks import FILE, read_marks, set_mark
from diffinv.pictures.reading import passed_over
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.comparison import Comparison
from diffinv_tui.widgets.results_grid import ResultsGrid

MakeApp = Callable[..., DiffinvApp]


def test_marks_stay_beside_the_results(tmp_path: Path) -> None:
    assert read_marks(tmp_path) == {}
    deep = tmp_path / "strength +1" / "a.jpg"
    set_mark(tmp_path, tmp_path / "b.jpg", "rejected")
    set_mark(tmp_path, deep, "kept")
    set_mark(tmp_path, deep, "starred")
    assert read_marks(tmp_path) == {"b.jpg": "rejected", "strength +1/a.jpg": "starred"}
    set_mark(tmp_path, tmp_path / "b.jpg", None)
    assert read_marks(tmp_path) == {"strength +1/a.jpg": "starred"}
    assert not (tmp_path / MANIFEST).exists()
    assert passed_over(tmp_path) == []


def test_what_a_later_version_writes_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"marks": {"a": "five stars", "b": ["x"]}, "more": 1}')
    set_mark(tmp_path, tmp_path / "c", "kept")
    assert read_marks(tmp_path) == {"c": "kept"}
    assert json.loads((tmp_path / FILE).read_text()) == {
        "marks": {"a": "five stars", "b": ["x"], "c": "kept"},
        "more": 1,
    }


@pytest.mark.parametrize("text", ["", "[]", '{"marks": 3}', "[" * 100_000])
def test_a_damaged_file_is_named_and_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DiffinvError, match=r"\.diffinv-marks\.json.*mend it, or move it away"):
        set_mark(tmp_path, tmp_path / "a", "kept")
    assert (tmp_path / FILE).read_text() == text


async def results(pilot: Pilot[Any]) -> ResultsGrid:
    """The six results of a job."""
    place = await go(pilot, "jobs")
    await shows(pilot, "first snow on trip")
    place.select(6)
    wall: ResultsGrid = place.query_one(ResultsGrid)
    await until(pilot, lambda: len(wall.results) == 6)
    await pilot.press("o")
    await until(pilot, lambda: wall.has_focus)
    return wall


@pytest.mark.asyncio
async def test_marks_are_there_again(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        wall = await results(pilot)
        await pilot.press("k", "right", "x", "right", "asterisk", "enter")
        await until(pilot, lambda: isinstance(app.screen, Comparison))
        await shows(pilot, "★ ~/pictures/winter/03.png")
        await pilot.press("n", "asterisk", "n", "k", "k", "escape")
        await until(pilot, lambda: wall.cursor == 4)
        for shown in ("★ 03.png", "★ 04.png", "▌ 05.png"):
            await shows(pilot, shown)
        await pilot.press("home")
        for shown in ("✓ 01.png", "✗ 02.png"):
            await shows(pilot, shown)
        await app.workers.wait_for_complete()
    again = make_app(full_home)
    async with again.run_test(size=(120, 40)) as pilot:
        wall = await results(pilot)
        await shows(pilot, "★ 04.png")
        names = lambda: [result.before.stem for result in wall.results]  # noqa: E731
        for only in (["03", "04"], ["01"], ["05", "06"], ["02"]):
            await pilot.press("f")
            assert names() == only
        await pilot.press("x")  # nothing is rejected any more, so that all are seen
        assert len(wall.results) == 6
        await pilot.press("f")
        assert wall.sifted == "starred: 2 of 6"
        await pilot.press("home", "asterisk")
        assert names() == ["04"]
        await pilot.press("y")
        assert again.clipboard == str(full_home / "pictures" / "winter" / "04.png")
        await again.workers.wait_for_complete()
    assert read_marks(full_home / "pictures" / "winter") == {"01.png": "kept", "04.png": "starred"}


@pytest.mark.asyncio
async def test_marks_that_cannot_be_read_are_told(full_home: Path, make_app: MakeApp) -> None:
    (full_home / "pictures" / "winter" / FILE).write_text("{")
    async with make_app(full_home).run_test(size=(120, 40), notifications=True) as pilot:
        await results(pilot)
        await shows(pilot, "cannot be read")
        assert "01.png" in screen(pilot.app)
