"""A small window that says what has happened, and offers to do something about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Static

from ..bindings import NOTICE
from ..formatting import plain
from ..widgets.footer import KeyLine
from .base import Window

if TYPE_CHECKING:
    from rich.text import Text
    from textual.app import ComposeResult

_FEW = 2
"""So many have room for blank lines on the smallest screen."""

Wish = Literal["resume", "show"]


class Notice(Window[Wish | None]):
    """Dismissed with what to do, one of the wishes that are offered."""

    BINDINGS: ClassVar[list[BindingType]] = NOTICE

    def __init__(
        self, title: str, told: Sequence[tuple[Text, Text]], hint: str, wishes: Sequence[Wish]
    ) -> None:
        super().__init__()
        self._heading, self._told, self._hint, self._wishes = title, told, hint, wishes

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what is offered."""
        return action != "dismiss" or parameters[0] in (None, *self._wishes)

    def compose(self) -> ComposeResult:
        """The title, what is told with more about it below, what can be done."""
        with Vertical(classes="dialog -many" if len(self._told) > _FEW else "dialog"):
            yield Static(plain(self._heading, "bold"))
            for what, about in self._told:
                yield Static(what, classes="notice-what")
                yield Static(about, classes="notice-about")
            yield Static(plain(self._hint, "muted"), classes="notice-what")
        yield KeyLine()
