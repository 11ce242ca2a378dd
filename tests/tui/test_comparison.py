"""B and B′ over the whole screen: side by side, blinking, with a line between, pixel by pixel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, shows, until
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Input

from diffinv.errors import DiffinvError
from diffinv_tui.app import DiffinvApp
from diffinv_tui.comparing import Look, seen
from diffinv_tui.screens.comparison import Comparison
from diffinv_tui.viewer import open_in_viewer
from diffinv_tui.widgets.difference_view import Figure
from diffinv_tui.widgets.picture import Picture
from diffinv_tui.widgets.results_grid import Result, ResultsGrid
from diffinv_tui.widgets.slider import Slider

MakeApp = Callable[..., DiffinvApp]
RED, BLUE = (255, 0, 0), (0, 0, 255)


def pair(size: tuple[int, int] = (100, 60)) -> tuple[Image.Image, Image.Image]:
    return Image.new("RGB", size, RED), Image.new("RGB", size, BLUE)


def test_the_ways_to_look() -> None:
    before, after = pair()
    look, room = Look(), (40, 20)
    assert seen(look, before, after, room) == [before, after]
    assert look.blinked().after
    assert seen(look.blinked(), before, after, room) == [after]
    assert seen(look.blinked().blinked(), before, after, room) == [before]
    (wiped,) = seen(look.wiped(), before, after, room)
    assert wiped is not None
    colours = [wiped.getpixel((x, 30)) for x in (0, 49, 50, 51, 99)]
    assert colours == [RED, RED, (255, 255, 255), BLUE, BLUE]
    assert look.wiped().wiped() == look
    (alone,) = seen(look.wiped().moved_line(-30), before, after, room)
    assert alone is not None
    assert alone.getcolors() == [(6000, BLUE)]


def test_pixels_of_the_picture_and_its_edges() -> None:
    before, after = pair((1000, 500))
    after.putpixel((999, 499), RED)
    look, room = Look().zoomed(), (100, 60)
    part = seen(look, before, after, room)[1]
    assert part is not None
    assert part.size == room
    for _ in range(40):
        look = look.panned((1, 1), before.size, room)
    part = seen(look, before, after, room)[1]
    assert part is not None
    assert (part.size, part.getpixel((99, 59))) == (room, RED)
    small = seen(look, *pair((20, 300)), room)[0]
    assert small is not None
    assert small.size == (20, 60)


async def opened(pilot: Pilot[Any], app: DiffinvApp, home: Path, size: int = 600) -> Comparison:
    """The comparison of a red picture with a smaller, blue result, the first of two."""
    before, after = home / "before.png", home / "made.png"
    Image.new("RGB", (size, size), RED).save(before)
    Image.new("RGB", (size // 2, size // 2), BLUE).save(after)
    place = await go(pilot, "apply")
    place.outcome.show_results([Result(before, after, "1 s"), Result(before, None, "waiting")])
    place.outcome.show("all")
    place.query_one(ResultsGrid).focus()
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, Comparison))
    await shows(pilot, f"{size // 2} × {size // 2}   1 s   1 of 2")
    screen = app.screen
    assert isinstance(screen, Comparison)
    await until(pilot, lambda: screen._images[0] is not None)
    return screen


@pytest.mark.asyncio
async def test_keys_change_the_way_to_look(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app, full_home)
        first, second = screen.query(Figure)
        picture = second.query_one(Picture)

        def colours() -> set[Any]:
            image = picture.image
            return {colour for _, colour in image.getcolors() or []} if image else set()

        assert first.display
        assert colours() == {BLUE}
        for key, label, expected in (
            ("space", "After", {BLUE}),
            ("space", "B", {RED}),
            ("w", "Before │ After", {RED, BLUE, (255, 255, 255)}),
        ):
            await pilot.press(key)
            await until(pilot, lambda expected=expected: colours() == expected, what=label)
            await shows(pilot, label)
            assert not first.display
        await pilot.press("z")
        await shows(pilot, "100 %")
        await until(pilot, lambda: picture.image and picture.image.size == picture.pixels)
        for _ in range(12):
            await pilot.press("right")
        await until(pilot, lambda: colours() == {RED}, what="B alone, left of the line")
        await pilot.press("s")
        await until(pilot, lambda: first.display and colours() == {BLUE})
        await pilot.press("right")
        await shows(pilot, "waiting   2 of 2")
        await pilot.press("space", "w", "z", "p")
        await shows(pilot, "1 of 2")


@pytest.mark.asyncio
async def test_o_opens_the_file(
    full_home: Path, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_files: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: opened_files.append(command))
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot, app, full_home)
        monkeypatch.setattr(sys, "platform", "linux")
        await pilot.press("o")
        await shows(pilot, "There is no desktop here")
        monkeypatch.setenv("DISPLAY", ":0")
        await pilot.press("o")
        assert opened_files == [["xdg-open", str(full_home / "made.png")]]


def test_a_viewer_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DiffinvError, match="xdg-open is not installed"):
        open_in_viewer(tmp_path / "b.png", {"DISPLAY": ":0"})


@pytest.mark.asyncio
async def test_strengths_in_hundredths_and_beyond_two(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        await until(pilot, lambda: isinstance(app.focused, Slider))
        slider = apply.query_one(Slider)
        await pilot.press("shift+right", "shift+right")
        assert slider.value == 1.02
        await shows(pilot, "+1.02")
        await pilot.press("pageup", "pageup", "pageup")
        assert slider.value == 2.52
        assert slider.end == 3
        await pilot.press("enter")
        await shows(pilot, "How strongly?")
        app.screen.query_one(Input).value = "-4,75"
        await pilot.press("enter")
        await until(pilot, lambda: slider.value == -4.75)
        assert apply.request().differences[0][1] == -4.75
        await pilot.press("enter")
        await shows(pilot, "How strongly?")
        for text in ("much", "nan", "-inf"):
            app.screen.query_one(Input).value = text
            await pilot.press("enter")
            await shows(pilot, "A strength is a number, such as 0.85.")
            assert slider.value == -4.75
            app.clear_notifications()
            await pilot.press("enter")
            await shows(pilot, "How strongly?")


@pytest.mark.asyncio
async def test_the_folder_picker_counts_pictures(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    (full_home / "pictures" / "bare").mkdir()
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "apply")
        app.picked = full_home / "pictures"
        await pilot.press("ctrl+o")
        await shows(pilot, "14 pictures, 12 of them")
        await pilot.press("down", "down")
        await shows(pilot, "no pictures")
        await pilot.press("down")
        await shows(pilot, "6 pictures")
        peek = app.screen.query_one("#peek")
        await until(pilot, lambda: [p.image is not None for p in peek.query(Picture)] == [True] * 3)
