"""The keys in the last line: the most important ones, and further ones where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.widget import Widget
from textual.widgets import Footer
from textual.widgets._footer import FooterKey

from ..bindings import EXTRA

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.screen import Screen
    from textual.timer import Timer

_SETTLED = 0.03
"""Seconds without another change after which the keys are shown: a screen that opens has several
changes, and to make the keys anew takes as long."""

_AROUND = 3
"""Blanks around and between a key and its description."""


class KeyLine(Footer):
    """A footer that is never cut off, and made anew only for other keys."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None
        self._settling: Timer | None = None

    def compose(self) -> ComposeResult:
        """All keys; those there is no room for are not displayed."""
        widgets = list(super().compose())
        for key in widgets:
            if isinstance(key, FooterKey):
                _settle(key)
        self._fit(widgets)
        yield from widgets

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Other keys may be active. While another window has the focus, they stay as they are; but
        they are there from the start: a page in a browser has no focus before it is clicked."""
        if not screen.app.app_focus and self.children:
            self._shown = None
            return
        active = screen.active_bindings.values()
        display = screen.app.get_key_display
        shown = [(display(b), b.description, enabled) for _, b, enabled, _ in active if b.show]
        if shown != self._shown:
            self._shown = shown
            if self._settling is not None:
                self._settling.stop()
            self._settling = self.set_timer(_SETTLED, partial(self._show, screen))

    def _show(self, screen: Screen[Any]) -> None:
        self._bindings_ready = True
        if self.is_attached and screen is self.screen:
            self.call_after_refresh(self.recompose)

    def on_resize(self) -> None:
        """Other keys fit."""
        self._fit(self.children)

    def _fit(self, widgets: Sequence[Widget]) -> None:
        keys = [widget for widget in widgets if isinstance(widget, FooterKey)]
        room = self.size.width - 1
        for key in sorted(keys, key=_rank):
            room -= _width(key)
            key.display = room >= 0


def _rank(key: FooterKey) -> int:
    """Keys of a low rank are shown first: help and the palette, then all but the extra ones."""
    if key.action in ("help", "app.help") or key.has_class("-command-palette"):
        return -1
    return EXTRA.index(key.action) + 1 if key.action in EXTRA else 0


def _settle(key: FooterKey) -> None:
    """Give a key its class now; Textual changes it twice once it is there, and styles it twice."""
    compact = key.has_class("-command-palette")
    key.set_class(compact, "-compact", update=False)
    key.set_reactive(FooterKey.compact, compact)


def _width(key: FooterKey) -> int:
    return len(key.key_display) + len(key.description) + _AROUND
