"""Keys and the mouse as people know them from elsewhere: lists, quitting, the palette, themes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, until
from textual import events
from textual.pilot import Pilot
from textual.widgets import Select
from textual.widgets._select import SelectOverlay

from diffinv_tui.app import DiffinvApp
from diffinv_tui.config import load_preferences, preferences_file
from diffinv_tui.screens.dialogs import Choose, Confirm, Detail
from diffinv_tui.screens.jobs import JobList
from diffinv_tui.widgets.difference_list import DifferenceList

MakeApp = Callable[..., DiffinvApp]
pytestmark = pytest.mark.asyncio


async def palette(pilot: Pilot[Any], letters: str) -> None:
    """Open the palette and type into it."""
    await pilot.press("ctrl+p")
    await until(pilot, lambda: "CommandPalette" in type(pilot.app.screen).__name__)
    await pilot.press(*letters)


async def test_letters_move_in_lists_and_a_slash_finds(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        shelf = app.screen.query_one(DifferenceList)
        await pilot.press("G")
        assert shelf.cursor == 10
        await pilot.press("g", "j", "k", "j")
        assert shelf.cursor == shelf.grid.columns
        shelf.post_message(_wheel(shelf))
        await until(pilot, lambda: shelf.scroll_offset.y > 0, what="the wheel")

        jobs = await go(pilot, "jobs")
        listing = jobs.query_one(JobList)
        await until(pilot, lambda: listing.option_count > 3)
        await pilot.press("G")
        assert listing.highlighted == listing.option_count - 1
        await pilot.press("g", "j")
        assert listing.highlighted == 1
        last = jobs._jobs[-1]
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.press(*f"#{last.id}")
        await until(pilot, lambda: f"#{last.id}" in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: jobs.current and jobs.current.id == last.id)


def _wheel(widget: Any) -> events.MouseScrollDown:
    return events.MouseScrollDown(
        *(widget, 5, 5, 0, 0, 0, False, False, False),
        screen_x=widget.region.x + 5,
        screen_y=widget.region.y + 5,
    )


async def test_q_quits_once_it_is_said_again(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await shows(pilot, "Enter or q quits, Escape stays here.")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running or app._exit)


async def test_the_palette_has_every_command_and_every_difference(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await palette(pilot, "Jobs: Pause")
        await shows(pilot, "Jobs: Pause queue")
        # What the first letters have found is listed until what all of them find is there.
        await until(pilot, lambda: "Go to Jobs" not in screen(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "jobs" and app.store.paused)
        await palette(pilot, "lit win")
        await shows(pilot, "lit windows")
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        assert app.screen.entry.name == "lit windows"
        assert app.current_mode == "library"


async def test_themes_are_seen_while_one_moves_among_them(home: Path, make_app: MakeApp) -> None:
    app = make_app(home)
    async with app.run_test(size=(120, 40)) as pilot:
        settings = await go(pilot, "settings")
        before = app.theme
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, SelectOverlay))
        await pilot.press("down")
        await until(pilot, lambda: app.theme != before)
        await pilot.press("escape")
        await until(pilot, lambda: app.theme == before)
        assert load_preferences(preferences_file())[0].theme == before
        await pilot.press("enter", "down", "enter")
        await until(pilot, lambda: app.preferences.theme == app.theme != before)
        assert settings.query_one("#theme", Select).value == app.theme
