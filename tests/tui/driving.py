"""What several tests do with an app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from diffinv_tui.app import DiffinvApp
from diffinv_tui.widgets.form import More


async def until(
    pilot: Pilot[Any], condition: Callable[[], object], seconds: float = 20.0, what: str = ""
) -> None:
    """Wait for something to come true, which it has to."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(
                f"{what or condition} did not happen; on screen:\n{screen(pilot.app)}"
            )
        await pilot.pause()
        await asyncio.sleep(0.02)


def screen(app: Any) -> str:
    """What is on the screen, as text."""
    lines = []
    for strip in app.screen._compositor.render_strips():
        lines.append("".join(segment.text for segment in strip).rstrip())
    return "\n".join(lines)


async def shows(pilot: Pilot[Any], text: str, seconds: float = 20.0) -> None:
    """Wait until a text is on the screen."""
    await until(pilot, lambda: text in screen(pilot.app), seconds, repr(text))


async def go(pilot: Pilot[Any], mode: str) -> Any:
    """To a screen; it, once it is there."""
    app: DiffinvApp = pilot.app  # type: ignore[assignment]
    app.action_go(mode)
    await until(pilot, lambda: app.current_mode == mode and app.screen.is_mounted)
    await pilot.pause()
    return app.screen


async def unfold(pilot: Pilot[Any]) -> None:
    """Show the settings that are folded away."""
    place = pilot.app.screen
    place.query_one(More).collapsed = False
    await until(pilot, lambda: place.query("#device"), what="further settings")
