"""Filters as they are typed into the library's search line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import screen, shows, until
from textual.widgets import Input

from diffinv_tui.app import DiffinvApp

pytestmark = pytest.mark.asyncio


async def test_impossible_values_are_told_and_half_typed_ones_are_not(
    full_home: Path, make_app: Callable[..., DiffinvApp]
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("slash", *"is:")
        for letter in "dupl":
            await pilot.press(letter)
            await app.workers.wait_for_complete()
            assert "write is:duplicate" not in screen(app)
        await pilot.press("x")
        await shows(pilot, "write is:duplicate or is:damaged")
        assert isinstance(app.focused, Input)
        assert not app._notifications
        await pilot.press("escape")
        await shows(pilot, "11 differences")
        await pilot.press("slash", *"created:>", "b")
        await shows(pilot, "'b' is not a date to search for")
        await pilot.press("backspace")
        await until(pilot, lambda: "is not a date" not in screen(app))
