"""A library that is gone, files that are damaged or there twice, what a form says while it is
filled in, and the keys of a difference that is shown whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import go, screen, shows, unfold, until
from textual.widgets import ContentSwitcher, Input

from diffinv.errors import UsageError
from diffinv.storage.store import Library
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.dialogs import Detail
from diffinv_tui.widgets.difference_list import DifferenceList
from diffinv_tui.widgets.form import Checks
from diffinv_tui.widgets.picture_field import PictureField

MakeApp = Callable[..., DiffinvApp]


@pytest.mark.asyncio
async def test_no_key_acts_on_a_library_that_is_gone(full_home: Path, make_app: MakeApp) -> None:
    folder = full_home / "diffinv" / "library"
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("right", "space")
        folder.rename(full_home / "elsewhere")
        await pilot.press("d")  # before anybody has noticed
        await shows(pilot, "is gone: mount its drive")
        assert not folder.exists()
        for key in ("d", "t", "a", "e", "u", "r"):
            await pilot.press(key)
        await pilot.pause()
        assert (app.current_mode, len(app.screen_stack)) == ("library", 1)
        assert "Trash" not in screen(app)
        assert not folder.exists()
        (full_home / "elsewhere").rename(folder)
        await shows(pilot, "11 differences")


@pytest.mark.asyncio
async def test_a_library_that_jobs_know_is_not_greeted_as_new(
    full_home: Path, make_app: MakeApp
) -> None:
    (full_home / "diffinv" / "library").rename(full_home / "elsewhere")
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "is gone: mount its drive")
        assert app.screen.query_one(ContentSwitcher).current == "trouble"


def test_nothing_is_changed_in_a_library_that_is_not_there(full_home: Path) -> None:
    folder = full_home / "diffinv" / "library"
    library = Library(folder)
    path = library.entries()[0].path
    folder.rename(full_home / "elsewhere")
    for change in (lambda: library.trash(path), lambda: library.set_tags(path, ["x"])):
        with pytest.raises(UsageError, match="mount its drive"):
            change()
    with pytest.raises(UsageError, match="mount its drive"):
        library.restore()
    assert not folder.exists()


@pytest.mark.asyncio
async def test_duplicates_and_damaged_files_are_marked(full_home: Path, make_app: MakeApp) -> None:
    folder = full_home / "diffinv" / "library"
    shutil.copy(folder / "sunset.safetensors", folder / "again.safetensors")
    (folder / "broken.safetensors").write_bytes(b"nothing")
    app = make_app(full_home)
    async with app.run_test(size=(140, 50)) as pilot:
        await shows(pilot, "13 differences")
        shelf = app.screen.query_one(DifferenceList)
        await until(pilot, lambda: screen(app).count("duplicate") == 2)
        shelf.go_to(folder / "again.safetensors")
        await shows(pilot, "is:duplicate finds both")
        assert "a Apply" in screen(app)
        shelf.go_to(folder / "broken.safetensors")
        await until(pilot, lambda: "a Apply" not in screen(app))
        await pilot.press("a", "t", "r")
        assert (app.current_mode, len(app.screen_stack)) == ("library", 1)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await shows(pilot, "d Trash")
        assert "Apply" not in screen(app)


@pytest.mark.asyncio
async def test_neighbours_places_and_undo_from_a_whole_difference(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        shelf = app.screen.query_one(DifferenceList)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await shows(pilot, "cabin to castle")
        await pilot.press("right")
        await shows(pilot, "first snow")
        await pilot.press("left", "left")
        assert app.screen.entry.name == "cabin to castle"
        await pilot.press("right", "d")
        await shows(pilot, "10 differences")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await pilot.press("u")
        await shows(pilot, "11 differences")
        await until(pilot, lambda: shelf.current and shelf.current.name == "first snow")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Detail))
        await pilot.press("3")
        await until(pilot, lambda: app.current_mode == "jobs" and len(app.screen_stack) == 1)


@pytest.mark.asyncio
async def test_nothing_is_wrong_before_a_field_is_left(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        before, after = new.query(PictureField)
        before.choose(full_home / "pictures" / "before.png")
        await shows(pilot, "Choose both pictures of every pair.")
        assert "✗" not in screen(app)
        after.choose(full_home / "pictures" / "after.png")
        await unfold(pilot)
        new.query_one("#steps", Input).focus()
        await pilot.press("x")
        await shows(pilot, "… Steps: 'x' is not a whole number.")
        await pilot.press("tab")
        await shows(pilot, "✗ Steps: 'x' is not a whole number.")


@pytest.mark.asyncio
async def test_the_app_names_no_options(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        before, after = new.query(PictureField)
        before.choose(full_home / "pictures" / "before.png")
        after.choose(full_home / "pictures" / "after.png")
        await unfold(pilot)
        new.query_one("#name", Input).value = "sunset"
        await shows(pilot, "library already has a difference")
        new.query_one("#name", Input).value = ""
        new.query_one("#alpha", Input).value = "7"
        await shows(pilot, "Alpha is between 0 and 1, not 7")
        assert "--" not in screen(app)


@pytest.mark.asyncio
async def test_all_checks_are_seen(home: Path, make_app: MakeApp) -> None:
    app = make_app(home)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        await until(pilot, lambda: app.registry)
        await pilot.pause(0.6)  # the form's own checks are through
        new.query_one(Checks).say([f"fact {n}" for n in range(12)])
        await shows(pilot, "fact 11")
