"""Every theme can be chosen, and what is written can be read in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, until
from rich.color import Color, ColorSystem
from textual.pilot import Pilot

from diffinv_tui.app import DiffinvApp
from diffinv_tui.config import load_preferences, preferences_file
from diffinv_tui.widgets.difference_list import DifferenceList
from diffinv_tui.widgets.slider import Slider

MakeApp = Callable[..., DiffinvApp]
LABELS = ("Before", "After", "#light", "#winter", "cabin to castle")


def brightness(colour: tuple[int, int, int]) -> float:
    """Relative luminance, as WCAG has it."""
    shares = (value / 255 for value in colour)
    red, green, blue = (v / 12.92 if v < 0.04 else ((v + 0.055) / 1.055) ** 2.4 for v in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(text: Color, back: Color) -> float:
    """How much two colours differ, from 1 on."""
    low, high = sorted(brightness(one.get_truecolor()) for one in (text, back))
    return (high + 0.05) / (low + 0.05)


def labels(pilot: Pilot[Any]) -> dict[str, tuple[Color, Color]]:
    """The labels on the screen, each with its colour and the one behind it."""
    found = {}
    for strip in pilot.app.screen._compositor.render_strips():
        for segment in strip:
            style, text = segment.style, segment.text.strip()
            if text in LABELS and style and style.color and style.bgcolor:
                found[text] = style.color, style.bgcolor
    return found


@pytest.mark.asyncio
async def test_labels_can_be_read_in_every_theme(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await shows(pilot, "Preview")
        for theme in sorted(app.available_themes):
            app.theme = theme
            await pilot.pause()
            await pilot.pause()
            if app.current_theme.name.startswith(("ansi", "textual-ansi")):
                continue  # the terminal's own colours, of which nothing is known
            found = labels(pilot)
            assert len(found) == len(LABELS), theme
            for label, (text, back) in found.items():
                seen = contrast(text, back)
                assert seen > 2.5, (theme, label, seen)
                few = [one.downgrade(ColorSystem.EIGHT_BIT) for one in (text, back)]
                seen = contrast(few[0], few[1])
                assert seen > 1.8, (theme, label, seen)


@pytest.mark.asyncio
async def test_the_terminal_s_own_colours_can_be_chosen(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        app.theme = "ansi-dark"
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        await until(pilot, lambda: isinstance(app.focused, Slider))
        await shows(pilot, "+1.0")
        await go(pilot, "jobs")
        await shows(pilot, "winter on trip")


@pytest.mark.asyncio
async def test_a_slider_with_the_focus_is_another_one(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        await until(pilot, lambda: isinstance(app.focused, Slider))
        slider = apply.query_one(Slider)
        with_focus = slider.background_colors
        assert "█" in str(slider.render())
        apply.query_one("#add-folder").focus()
        await until(pilot, lambda: "█" not in str(slider.render()))
        await until(pilot, lambda: slider.background_colors != with_focus)


@pytest.mark.asyncio
async def test_cards_change_their_size_and_details_go(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        shelf = app.screen.query_one(DifferenceList)
        columns = shelf.grid.columns
        await pilot.press("plus")
        assert shelf.grid.columns == columns - 1
        await pilot.press("minus", "minus")
        assert shelf.grid.columns == columns + 1
        assert "Preview" in screen(app)
        await pilot.press("h")
        await until(pilot, lambda: "Preview" not in screen(app))
        await app.workers.wait_for_complete()
        width = shelf.grid.tile_width
    kept, problem = load_preferences(preferences_file())
    assert problem is None
    assert not kept.detail
    again = make_app(full_home)
    async with again.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        assert "Preview" not in screen(again)
        shelf = again.screen.query_one(DifferenceList)
        assert abs(shelf.grid.tile_width - width) < 12
        await pilot.press("0", "h")
        assert shelf.grid.columns == columns
        await shows(pilot, "Preview")
