"""The keys: what may be chosen for them, how they are shown, and the settings they are kept in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from driving import go, screen, shows, until
from textual.events import AppBlur

from diffinv.errors import DiffinvError
from diffinv_tui.app import DiffinvApp
from diffinv_tui.bindings import GROUPS, IN_BROWSER, key_problems, key_shown
from diffinv_tui.config import Preferences, load_preferences, preferences_file, save_preferences

MakeApp = Callable[..., DiffinvApp]

BROKEN = '[keys]\n"library.new" = "ctrl+n"\ngarbage = [\n'


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ({"nosuch.key": "x"}, "nothing is called nosuch.key"),
        ({"library.new": "notakey+++"}, "library.new has notakey+++, which is no key"),
        ({"library.new": ""}, "library.new has nothing, which is no key"),
        ({"library.trash": "v"}, "library.view and library.trash have the same key v"),
        ({"app.quit": "x"}, "app.quit and jobs.clear have the same key x"),
        ({"slider.less": "right"}, "slider.less and slider.more have the same key →"),
    ],
)
def test_keys_that_cannot_be(chosen: dict[str, str], problem: str) -> None:
    assert problem in key_problems(chosen)


@pytest.mark.parametrize(
    "key", ["y", "ü", "f5", "ctrl+y", "ctrl+shift+up", "exclamation_mark", "comma", "percent_sign"]
)
def test_keys_that_can_be(key: str) -> None:
    assert key_problems({"library.new": key}) == []


def test_the_keys_as_they_come_are_all_right() -> None:
    own = {key.id: key.key for group in GROUPS.values() for key in group}
    assert key_problems(own) == []
    assert key_shown("K,shift+up") == "K, shift+↑"
    assert key_shown("less_than_sign") == "<"


@pytest.mark.asyncio
async def test_problems_of_the_settings_are_told(full_home: Path, make_app: MakeApp) -> None:
    preferences_file().parent.mkdir(parents=True, exist_ok=True)
    preferences_file().write_text('theme = "none"\n[keys]\n"library.trash" = "v"\n')
    async with make_app(full_home).run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "There is no theme 'none'")
        await shows(pilot, "the same key v")


@pytest.mark.asyncio
async def test_settings_that_cannot_be_read_are_kept(full_home: Path, make_app: MakeApp) -> None:
    file = preferences_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(BROKEN)
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "cannot be read")
        await pilot.press("v", "v")
        await until(pilot, lambda: load_preferences(file)[1] is None)
        await app.workers.wait_for_complete()
    assert (file.parent / "settings-unreadable.toml").read_text() == BROKEN
    file.write_text("again = [")
    save_preferences(app.preferences, file)
    assert (file.parent / "settings-unreadable.toml").read_text() == BROKEN
    assert (file.parent / "settings-unreadable-2.toml").read_text() == "again = ["


ODD = """theme = 4
[keys]
"library.new" = "z"
"library.apply" = 5
# my note
jobs.cancel = "y"
"""


def test_what_cannot_be_used_stays_in_the_file(home: Path) -> None:
    file = home / "settings.toml"
    file.write_text(ODD)
    preferences, problem = load_preferences(file)
    assert preferences.keys == {"library.new": "z", "jobs.cancel": "y"}
    assert "theme, library.apply cannot be used" in (problem or "")
    save_preferences(replace(preferences, view="table"), file)
    assert file.read_text() == ODD.replace("[keys]", 'view = "table"\n\n[keys]')


def test_settings_nested_beyond_all_sense(home: Path) -> None:
    file = home / "settings.toml"
    file.write_text("a=" + "[" * 5000)
    assert "cannot be read" in (load_preferences(file)[1] or "")
    save_preferences(Preferences(view="table"), file)
    assert load_preferences(file) == (Preferences(view="table"), None)


def test_settings_that_may_not_be_read_are_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "settings.toml"
    file.write_text('theme = "x"')

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    preferences, _ = load_preferences(file)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        with pytest.raises(DiffinvError, match="Permission denied"):
            save_preferences(preferences, file)
    assert file.read_text() == 'theme = "x"'


@pytest.mark.asyncio
async def test_help_has_a_key_where_text_is_typed(full_home: Path, make_app: MakeApp) -> None:
    async with make_app(full_home).run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "? Help")
        await pilot.press("slash")
        await shows(pilot, "F1 Help")
        await pilot.press("f1")
        await shows(pilot, "F1 closes the help")
        await pilot.press("escape")
        await until(pilot, lambda: "F1 closes the help" not in screen(pilot.app))
        await pilot.press("escape")
        await shows(pilot, "? Help")


@pytest.mark.asyncio
async def test_the_keys_of_help_can_be_others(full_home: Path, make_app: MakeApp) -> None:
    preferences_file().write_text('[keys]\n"app.help" = "f2"\n"library.tag" = "f1"\n')
    async with make_app(full_home).run_test(size=(120, 40)) as pilot:
        await shows(pilot, "F1 Tags")
        await shows(pilot, "F2 Help")


@pytest.mark.asyncio
async def test_the_palette_names_keys_as_people_do(full_home: Path, make_app: MakeApp) -> None:
    async with make_app(full_home).run_test(size=(120, 40), notifications=True) as pilot:
        await go(pilot, "jobs")
        await pilot.press("ctrl+p", *"jobs: first")
        await shows(pilot, "Jobs: First")
        assert "less_than_sign" not in screen(pilot.app)


@pytest.mark.asyncio
async def test_a_browser_keeps_its_own_keys(
    full_home: Path, make_app: Callable[..., DiffinvApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEXTUAL_DRIVER", "textual_serve")
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        await shows(pilot, "^g One more pair")
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert len(new.query("PairRow")) == 1
        await pilot.press("ctrl+g")
        await until(pilot, lambda: len(new.query("PairRow")) == 2)
        assert not key_problems(IN_BROWSER)


@pytest.mark.asyncio
async def test_a_key_is_changed_by_pressing_it(
    full_home: Path, make_app: Callable[..., DiffinvApp]
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:

        async def change(key: str) -> None:
            settings = await go(pilot, "settings")
            settings.query_one("#change-key").focus()
            await pilot.press("enter")
            await shows(pilot, "Change which key?")
            await pilot.press(*"Library: Trash", "enter")
            await shows(pilot, "Press the new key for: Library: Trash")
            await pilot.press(key)
            await until(pilot, lambda: app.screen is settings)

        await change("v")
        assert any("the same key v" in n.message for n in app._notifications)
        assert app.preferences.keys == {}
        await change("y")
        await until(pilot, lambda: load_preferences(preferences_file())[0].keys)
        assert app.preferences.keys == {"library.trash": "y"}
        await go(pilot, "library")
        await pilot.press("y")
        await shows(pilot, "10 differences")


@pytest.mark.asyncio
async def test_keys_are_shown_in_a_page_that_has_no_focus_yet(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        app.post_message(AppBlur())
        await until(pilot, lambda: not app.app_focus)
        await app.switch_mode("plugins")
        await shows(pilot, "i Install")
        assert not app.app_focus
