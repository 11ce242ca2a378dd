"""A line of text that leaves files which are dropped on the terminal to its screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Input

from ..dropped import dropped_paths

if TYPE_CHECKING:
    from textual.events import Paste


class DropLine(Input):
    """Text that is pasted is its own, paths of files that are there are not."""

    def on_paste(self, event: Paste) -> None:
        """Leave files to the screen."""
        paths = dropped_paths(event.text)
        if paths and all(path.is_absolute() and path.exists() for path in paths):
            event.prevent_default()
