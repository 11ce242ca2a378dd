"""The help says what a field is for, and hides nothing but what it must."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from driving import go, screen, shows, unfold, until
from textual.widgets import Checkbox, HelpPanel, Input, Select

from diffinv_tui.app import DiffinvApp
from diffinv_tui.help_texts import help_text

MakeApp = Callable[..., DiffinvApp]


@pytest.mark.asyncio
@pytest.mark.parametrize("mode", ["new", "apply", "settings"])
async def test_every_field_has_help(mode: str, home: Path, make_app: MakeApp) -> None:
    app = make_app(home)
    async with app.run_test(size=(120, 40)) as pilot:
        place = await go(pilot, mode)
        if mode != "settings":
            await unfold(pilot)
        fields = [*place.query(Input), *place.query(Select), *place.query(Checkbox)]
        assert len(fields) > 4
        for field in fields:
            assert help_text(mode, field.id), field.id


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_help_follows_the_focus(size: tuple[int, int], home: Path, make_app: MakeApp) -> None:
    app = make_app(home)
    async with app.run_test(size=size) as pilot:
        new = await go(pilot, "new")
        await unfold(pilot)
        before = new.query_one(".side").region
        new.query_one("#name").focus()
        await pilot.press("f1")
        await shows(pilot, "The name of the")
        assert (new.query_one(".side").region == before) == (size == (80, 24))
        new.query_one("#alpha").focus()
        await shows(pilot, "Whether words")
        assert "One more pair" in screen(app)
        assert "Move cursor" not in screen(app)
        assert "Scroll" not in screen(app)
        await pilot.press("f1")
        await until(pilot, lambda: not new.query(HelpPanel))


@pytest.mark.asyncio
@pytest.mark.parametrize(("width", "extra"), [(80, False), (160, True)])
async def test_the_footer_names_more_keys_where_there_is_room(
    width: int, extra: bool, full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(width, 30)) as pilot:
        await shows(pilot, "11 differences")
        await shows(pilot, "d Trash")
        for key in ("s Sort", "space Mark", "f Filter", "u Undo", "i Import"):
            assert (key in screen(app)) == extra, key
        assert "^p palette" in screen(app)
