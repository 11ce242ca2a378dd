"""Whatever is written in files and by plugins is shown as it is, on every screen, in every size."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample_home
from driving import go, screen, shows, until
from textual.pilot import Pilot

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec
from diffinv.difference import save
from diffinv.plugins.registry import Registry
from diffinv.plugins.rows import PluginRow
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.dialogs import Ask, Choose
from diffinv_tui.screens.pickers import pick_folder, pick_pictures

pytestmark = pytest.mark.asyncio

KINDS = {
    "markup": ("[bold]loud[/bold] [red", "[bold]loud"),
    "escapes": ("\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b5mdone\x1b[2J", "reddone"),
    "long": ("x" * 10_000, "x" * 8),
    "right to left": ("\u202eשלום\u202c עולם مرحبا", "שלום"),
    "emoji": ("🏰👩‍👩‍👧 ❄️", "🏰"),
}
"""Texts, and what of each has to be readable everywhere."""

SIZES = [(120, 40), (80, 24)]
KEPT = "\u200c\u200d"


def registry(text: str) -> Registry:
    """Parts and plugins that have this text wherever they have any."""
    made = Registry(rows=[PluginRow(text, text, text, status="broken", error=text, printed=text)])
    about = {"id": "odd", "title": text, "factory": "odd:load", "description": text}
    about |= {"purpose": text, "licence": text}
    made.backbones["odd"] = BackboneSpec(**about)
    made.captioners["odd"] = CaptionerSpec(**about)
    made.delta_encoders["odd"] = DeltaEncoderSpec(**about)
    return made


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """One sort of text."""
    return str(request.param)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """A terminal's size."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def app(kind: str, home: Path, make_app: Callable[..., DiffinvApp]) -> DiffinvApp:
    """An app whose every text is of this kind."""
    text = KINDS[kind][0]
    folder = home / "diffinv" / "library"
    folder.mkdir(parents=True)
    save(sample_home.hostile(text), folder / "hostile.safetensors")
    made = make_app(home, plugins=lambda: registry(text))
    made.store.list = [sample_home.hostile_job(text, home)]  # type: ignore[attr-defined]
    return made


def check(app: Any, where: str, readable: str = "") -> None:
    """Nothing for the terminal to act on, no line wider than it, and the text can be read."""
    width, strips = app.size.width, app.screen._compositor.render_strips()
    for strip in strips:
        assert strip.cell_length == width, f"{where}: a line of {strip.cell_length} cells"
        acting = [c for c in strip.text if unicodedata.category(c) in ("Cc", "Cf")]
        assert not set(acting) - set(KEPT), f"{where}: {acting!r}"
    assert readable in screen(app), f"{where}: no {readable!r} in\n{screen(app)}"


async def test_the_library(app: DiffinvApp, kind: str, size: tuple[int, int]) -> None:
    readable = KINDS[kind][1]
    async with app.run_test(size=size, notifications=True) as pilot:
        await shows(pilot, "1 difference")
        await shows(pilot, readable)
        check(app, "cards")
        await pilot.press("v")
        await shows(pilot, "NAME")
        check(app, "table", readable)
        await pilot.press("enter")
        await shows(pilot, "Preview")
        check(app, "detail", readable)
        await pilot.press("escape")
        await dialog(pilot, "r", Ask)
        check(app, "rename", readable)
        await pilot.press("escape")
        await dialog(pilot, "t", Ask)
        check(app, "tags", readable)
        await pilot.press("escape")
        await dialog(pilot, "f", Choose)
        check(app, "tags to choose", readable)
        await pilot.press("escape", "d")
        await shows(pilot, "is in the trash")
        check(app, "a message", readable)


async def dialog(pilot: Pilot[Any], key: str, kind: type[Any]) -> None:
    """Open a window by a key."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, kind), what=f"{kind.__name__} by {key}")
    await until(pilot, lambda: pilot.app.screen.is_mounted)
    await pilot.pause()


async def test_the_other_screens(app: DiffinvApp, kind: str, size: tuple[int, int]) -> None:
    readable = KINDS[kind][1]
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "1 difference")
        for mode in ("jobs", "models", "plugins", "new"):
            await go(pilot, mode)
            await shows(pilot, readable)
            check(app, mode)
        await go(pilot, "apply")
        await dialog(pilot, "ctrl+d", Choose)
        await shows(pilot, readable)
        check(app, "differences to choose")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.query("Slider"), what="the difference's slider")
        await shows(pilot, readable)
        check(app, "apply")
        await go(pilot, "settings")
        check(app, "settings")


async def test_a_folder_and_its_files(kind: str, size: tuple[int, int], home: Path) -> None:
    text, readable = KINDS[kind]
    folder = home / text.replace("/", "-")[:60]
    folder.mkdir()
    (folder / f"{folder.name}.txt").write_text("")
    app = DiffinvApp(launcher=lambda _store: None)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "Show a change once")
        app.push_screen(pick_folder(folder, "Folder"))
        await shows(pilot, "Enter takes this folder")
        await shows(pilot, readable)
        check(app, "a folder")
        await pilot.press("escape")
        app.push_screen(pick_pictures(home, "Picture"))
        await shows(pilot, "Escape closes")
        await shows(pilot, readable)
        check(app, "files")
