"""The keys in the last line: the most important ones, and further ones where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from ..bindings import EXTRA

if TYPE_CHECKING:
    from textual.app import ComposeResult

_AROUND = 3
"""Blanks around and between a key and its description."""


class KeyLine(Footer):
    """A footer that is never cut off."""

    def compose(self) -> ComposeResult:
        """All keys; those there is no room for are not displayed."""
        widgets = list(super().compose())
        self._fit(widgets)
        yield from widgets

    def on_resize(self) -> None:
        """Other keys fit."""
        self._fit(self.children)

    def _fit(self, widgets: Sequence[Widget]) -> None:
        keys = [widget for widget in widgets if isinstance(widget, FooterKey)]
        extra = sorted((k for k in keys if k.action in EXTRA), key=lambda k: EXTRA.index(k.action))
        room = self.size.width - sum(_width(key) for key in keys if key not in extra) - 1
        for key in extra:
            room -= _width(key)
            key.display = room >= 0


def _width(key: FooterKey) -> int:
    return len(key.key_display) + len(key.description) + _AROUND
