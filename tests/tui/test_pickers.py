"""The window that asks for files, files that are dropped, and the page behind a dialog."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, until
from textual.events import Paste
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from diffinv_tui.app import DiffinvApp
from diffinv_tui.dropped import dropped_paths
from diffinv_tui.screens.dialogs import Ask
from diffinv_tui.screens.new import NewScreen, PairRow
from diffinv_tui.screens.pickers import Picker, pick_folder, pick_pictures
from diffinv_tui.widgets.peek import Peek
from diffinv_tui.widgets.picture import Picture
from diffinv_tui.widgets.picture_field import PictureField

MakeApp = Callable[..., DiffinvApp]
Taken = list[list[Path] | None]


async def opened(pilot: Pilot[Any], picker: Picker) -> Taken:
    """A picker that is there; what will be taken with it."""
    taken: Taken = []
    pilot.app.push_screen(picker, taken.append)
    await until(pilot, lambda: picker.is_mounted and picker.query_one(OptionList).option_count)
    return taken


def _told(app: DiffinvApp) -> str:
    return " ".join(notification.message for notification in app._notifications)


def current(picker: Picker) -> str:
    return picker._current.path.name if picker._current else ""


@pytest.mark.asyncio
async def test_letters_find_and_enter_takes(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await shows(pilot, "11 differences")
        picker = pick_pictures(full_home, "Pictures")
        taken = await opened(pilot, picker)
        await shows(pilot, "2 pictures")  # of the folder of pictures itself
        await pilot.press(*"ICT")
        await until(pilot, lambda: [i.label for i in picker._items] == ["pictures"])
        await pilot.press("enter")
        await shows(pilot, "before.png")
        await pilot.press("down", *"bef")
        await until(pilot, lambda: current(picker) == "before.png")
        seen = picker.query_one(Peek).query(Picture).first()
        await until(pilot, lambda: seen.image is not None)
        await pilot.press("enter")
        await until(pilot, lambda: taken)
        assert taken == [[full_home / "pictures" / "before.png"]]


@pytest.mark.asyncio
async def test_several_are_marked_across_folders(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await shows(pilot, "11 differences")
        picker = pick_pictures(full_home / "pictures" / "trip", "Pictures")
        taken = await opened(pilot, picker)
        await shows(pilot, "06.png")
        await pilot.press("space", "space")
        await shows(pilot, "✓ 02.png")
        await pilot.press("left")
        await until(pilot, lambda: current(picker) == "trip")
        await pilot.press(*"after")
        await until(pilot, lambda: current(picker) == "after.png")
        await pilot.press("space")
        await shows(pilot, "takes 3 marked")
        await pilot.press("enter")
        await until(pilot, lambda: taken)
        names = [path.relative_to(full_home / "pictures") for path in taken[0] or ()]
        assert [str(name) for name in names] == ["trip/01.png", "trip/02.png", "after.png"]


@pytest.mark.asyncio
async def test_a_folder_is_made_and_taken(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await shows(pilot, "11 differences")
        picker = pick_folder(full_home, "Export")
        taken = await opened(pilot, picker)
        await pilot.press(*"~/pictures/")
        await until(pilot, lambda: picker._location == full_home / "pictures")
        assert picker.query_one(Input).value == ""
        await pilot.press("backspace")
        await until(pilot, lambda: picker._location == full_home)
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"out", "enter")
        await until(pilot, lambda: picker._location == full_home / "out")
        await until(pilot, lambda: picker._items and picker._items[0].path == full_home / "out")
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press(*"no/such", "enter")
        await until(pilot, lambda: "cannot be made" in _told(app))
        await pilot.press("enter")
        await until(pilot, lambda: taken)
        assert taken == [[full_home / "out"]]
        assert (full_home / "out").is_dir()


@pytest.mark.asyncio
async def test_a_folder_that_cannot_be_looked_into_is_told(home: Path, make_app: MakeApp) -> None:
    app = make_app(home)
    async with app.run_test(size=(120, 36)) as pilot:
        await shows(pilot, "Show a change once")
        (home / "gone").mkdir()
        picker = pick_pictures(home, "Pictures")
        await opened(pilot, picker)
        await until(pilot, lambda: current(picker) == "gone")
        shutil.rmtree(home / "gone")
        await pilot.press("right")
        await shows(pilot, "gone cannot be looked into")
        await pilot.press("left")
        await until(pilot, lambda: picker._location == home)


@pytest.mark.asyncio
async def test_dropped_files_fill_before_and_after_and_further_pairs(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new: NewScreen = await go(pilot, "new")
        folder = full_home / "pictures"
        (folder / "with space.png").write_bytes((folder / "after.png").read_bytes())

        def chosen() -> list[str]:
            return [field.path.name for field in new.query(PictureField) if field.path]

        async def drop(text: str) -> None:
            (app.focused or new).post_message(Paste(text))
            await pilot.pause()

        await drop(f"'{folder}/before.png' ")
        await until(pilot, lambda: chosen() == ["before.png"])
        await drop(f"file://{folder}/with%20space.png\r\n")
        await until(pilot, lambda: len(chosen()) == 2)
        assert isinstance(app.focused, Input)
        await drop(f"{folder}/trip/01.png\n{folder}/trip/02.png")
        await until(pilot, lambda: len(chosen()) == 4)
        assert chosen() == ["before.png", "with space.png", "01.png", "02.png"]
        assert len(new.query(PairRow)) == 2
        await drop("a tag")
        assert isinstance(app.focused, Input)
        assert app.focused.value == "a tag"
        assert len(chosen()) == 4


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("/a/b.png", ["/a/b.png"]),
        ("'/a/b c.png' \"/a/d e.png\"", ["/a/b c.png", "/a/d e.png"]),
        (r"/a/b\ c.png /a/d.png", ["/a/b c.png", "/a/d.png"]),
        ("file:///a/b%20c.png\nfile:///a/d.png\n", ["/a/b c.png", "/a/d.png"]),
        ("/a/it's.png", ["/a/it's.png"]),
        ("/a/b c.png", ["/a/b c.png"]),
        ("", []),
    ],
)
def test_paths_in_what_is_pasted(text: str, paths: list[str]) -> None:
    assert [str(path) for path in dropped_paths(text)] == paths


def test_a_file_is_one_whatever_its_name(tmp_path: Path) -> None:
    odd = tmp_path / "a 'b' \\ c.png"
    odd.write_bytes(b"")
    assert dropped_paths(f"{odd}\n") == [odd]


@pytest.mark.asyncio
async def test_a_dialog_stands_over_the_page(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("right", "r")
        await shows(pilot, "Enter keeps it, Escape leaves it as it was.")
        assert "11 differences" in screen(app)
        pictures = app.screen.query("Subject Picture").results(Picture)
        await until(pilot, lambda: all(picture.image for picture in pictures))
        title = app.screen.query("Subject Static").first(Static)
        assert "first snow" in str(title.render())
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Ask))
