"""What the screens look like. ``pytest tests/tui --snapshot-update`` accepts what has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gallery
import pytest
import sample_home
from textual.pilot import Pilot

from diffinv_tui.app import DiffinvApp

WIDE, SMALL = (120, 40), (80, 24)

PICTURES = [
    (gallery.library, WIDE),
    (gallery.table, WIDE),
    (gallery.search, SMALL),
    (gallery.detail, SMALL),
    (gallery.damaged, WIDE),
    (gallery.new, WIDE),
    (gallery.new_settings, SMALL),
    (gallery.picker, SMALL),
    (gallery.jobs, WIDE),
    (gallery.jobs, SMALL),
    (gallery.job_failed, SMALL),
    (gallery.apply, WIDE),
    (gallery.apply, SMALL),
    (gallery.plugins, SMALL),
    (gallery.settings, SMALL),
]


def _name(value: Any) -> str:
    return value.__name__ if callable(value) else f"{value[0]}x{value[1]}"


def look(
    app: DiffinvApp, visit: gallery.Visit, home: Path, size: tuple[int, int], compare: Any
) -> bool:
    """Go there, wait for everything, compare."""

    async def run(pilot: Pilot[Any]) -> None:
        await visit(pilot, home)
        await gallery.settled(pilot)

    app.animation_level = "none"
    return compare(app, terminal_size=size, run_before=run)


@pytest.mark.parametrize(("visit", "size"), PICTURES, ids=_name)
def test_screen(
    visit: gallery.Visit,
    size: tuple[int, int],
    full_home: Path,
    make_app: Callable[..., DiffinvApp],
    snap_compare: Any,
) -> None:
    if visit is gallery.damaged:
        (full_home / "diffinv" / "library" / "broken.safetensors").write_bytes(b"")
    app = make_app(full_home, plugins=sample_home.sample_registry)
    assert look(app, visit, full_home, size, snap_compare)


def test_empty_home(home: Path, make_app: Callable[..., DiffinvApp], snap_compare: Any) -> None:
    app = make_app(home, plugins=sample_home.sample_registry)
    assert look(app, gallery.welcome, home, SMALL, snap_compare)


def test_without_colours(
    full_home: Path,
    make_app: Callable[..., DiffinvApp],
    snap_compare: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = make_app(full_home, plugins=sample_home.sample_registry)
    assert look(app, gallery.library, full_home, SMALL, snap_compare)
