"""Small windows that ask one thing or show one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from diffinv.system.text import text_safe

from ..bindings import DETAIL, DIALOG
from ..formatting import plain
from ..widgets.difference_view import DifferenceView
from ..widgets.footer import KeyLine
from .base import Window

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.storage.store import Entry

_AT_ONCE = 100

DETAIL_WISHES = ("apply", "rename", "tag", "trash", "export")
"""What can be wished of a difference that is shown."""


class Ask(Window[str | None]):
    """One line of text; None where it is left as it was."""

    BINDINGS: ClassVar[list[BindingType]] = DIALOG

    def __init__(self, question: str, value: str = "", hint: str = "") -> None:
        super().__init__()
        self._question, self._value, self._hint = question, text_safe(value), hint

    def compose(self) -> ComposeResult:
        """The question, the line, the hint."""
        with Vertical(classes="dialog"):
            yield Static(plain(self._question, "bold"))
            yield Input(self._value, id="answer")
            yield Static(plain(self._hint or "Enter keeps it, Escape leaves it as it was."))
        yield KeyLine()

    @on(Input.Submitted)
    def answer(self, event: Input.Submitted) -> None:
        """Done."""
        self.dismiss(None if event.value == self._value else event.value)


class Choose(Window[int | None]):
    """One of several things, with a line to narrow them down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG,
        Binding("down", "down", "Down", show=False),
        Binding("up", "up", "Up", show=False),
    ]

    def __init__(self, question: str, choices: Sequence[tuple[str, str]], empty: str) -> None:
        super().__init__()
        self._question, self._choices, self._empty = question, choices, empty

    def compose(self) -> ComposeResult:
        """The question, the line, the list."""
        with Vertical(classes="dialog -tall"):
            yield Static(plain(self._question, "bold"))
            yield Input(placeholder="Type to narrow down", id="narrow")
            yield OptionList()
        yield KeyLine()

    def on_mount(self) -> None:
        """Everything at first."""
        self._show("")

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        """Only what has these letters in it."""
        self._show(event.value)

    def _show(self, letters: str) -> None:
        options = self.query_one(OptionList)
        wanted = letters.casefold()
        found = [
            i for i, choice in enumerate(self._choices) if wanted in " ".join(choice).casefold()
        ]
        shown = [Option(_choice(*self._choices[i]), id=str(i)) for i in found[:_AT_ONCE]]
        if not found:
            shown.append(Option(Text(self._empty, "muted"), disabled=True))
        elif len(found) > _AT_ONCE:
            more = f"{len(found) - _AT_ONCE:,} more; type to narrow them down"
            shown.append(Option(Text(more, "muted"), disabled=True))
        options.clear_options()
        options.add_options(shown)
        options.highlighted = 0

    def action_down(self) -> None:
        """The next choice, from the line too."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """The one before."""
        self.query_one(OptionList).action_cursor_up()

    @on(Input.Submitted)
    def submit(self) -> None:
        """Enter in the line takes what is highlighted."""
        self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def choose(self, event: OptionList.OptionSelected) -> None:
        """Done."""
        if event.option.id is not None:
            self.dismiss(int(event.option.id))


def _choice(title: str, about: str) -> Text:
    return plain(title, limit=80).append("  ").append_text(plain(about, "muted", 120))


class Detail(Window[str | None]):
    """One difference over the whole screen. Dismissed with what to do with it."""

    BINDINGS: ClassVar[list[BindingType]] = DETAIL

    def __init__(self, entry: Entry, wishes: Sequence[str] = DETAIL_WISHES) -> None:
        super().__init__()
        self._entry, self._wishes = entry, wishes

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done where it was opened."""
        return action != "dismiss" or parameters[0] in (None, *self._wishes)

    def compose(self) -> ComposeResult:
        """The view and the footer."""
        yield DifferenceView(id="whole")
        yield KeyLine()

    def on_mount(self) -> None:
        """Fill the view."""
        view = self.query_one(DifferenceView)
        view.show(self._entry)
        view.focus()
