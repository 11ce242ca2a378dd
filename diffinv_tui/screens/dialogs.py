"""Small windows that ask one thing or show one thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from diffinv.system.text import text_safe

from ..bindings import CONFIRM, DETAIL, DIALOG, QUIT
from ..formatting import plain
from ..widgets.difference_view import DifferenceView
from ..widgets.footer import KeyLine
from ..widgets.peek import Peek
from ..widgets.subject import Subject
from .base import Dialog, Window

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Key

    from diffinv.storage.store import Entry

_AT_ONCE = 100
_OF_WHOLE = ("apply", "rename", "tag", "export")
"""What cannot be done with a damaged file."""

DETAIL_WISHES = ("apply", "rename", "tag", "trash", "export", "restore")
"""What can be wished of a difference that is shown."""


class Ask(Dialog[str | None]):
    """One line of text; None where it is left as it was. ``about`` is the (name, file) of the
    difference or picture that is spoken of."""

    BINDINGS: ClassVar[list[BindingType]] = DIALOG

    def __init__(
        self, question: str, value: str = "", hint: str = "", about: tuple[str, Path] | None = None
    ) -> None:
        super().__init__()
        self._question, self._value, self._hint = question, text_safe(value), hint
        self._about = about

    def compose(self) -> ComposeResult:
        """What it is about, the question, the line, the hint, the keys."""
        with Vertical(classes="dialog"):
            if self._about:
                yield Subject(*self._about)
            yield Static(plain(self._question, "bold"))
            yield Input(self._value, id="answer")
            if self._hint:
                yield Static(plain(self._hint))
            yield Static("Enter keeps it, Escape leaves it as it was.", classes="hint")
        yield KeyLine()

    @on(Input.Submitted)
    def answer(self, event: Input.Submitted) -> None:
        """Done."""
        self.dismiss(None if event.value == self._value else event.value)


class Confirm(Dialog[bool]):
    """Asks before something is done."""

    BINDINGS: ClassVar[list[BindingType]] = CONFIRM

    def __init__(self, question: str, does: str, not_done: str) -> None:
        super().__init__()
        self._question, self._keys = question, f"Enter {does}, Escape {not_done}."

    def compose(self) -> ComposeResult:
        """The question and the keys."""
        with Vertical(classes="dialog"):
            yield Static(plain(self._question, "bold"))
            yield Static(plain(self._keys), classes="hint")
        yield KeyLine()


class PressKey(Dialog[str | None]):
    """The next key that is pressed; None for Escape."""

    BINDINGS: ClassVar[list[BindingType]] = DIALOG

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """What the key is for."""
        with Vertical(classes="dialog"):
            yield Static(plain(f"Press the new key for: {self._what}", "bold"))
            yield Static("Escape leaves it as it was.", classes="hint")
        yield KeyLine()

    def on_key(self, event: Key) -> None:
        """Take it."""
        if event.key != "escape":
            event.stop()
            self.dismiss(event.key)


class Quit(Confirm):
    """Asks whether to quit; the key that asked is an answer, too."""

    BINDINGS: ClassVar[list[BindingType]] = QUIT

    def __init__(self) -> None:
        super().__init__("Quit diffinv? Jobs go on without it.", "or q quits", "stays here")


class Choose(Dialog[int | None]):
    """One of several things, with a line to narrow them down. ``seen`` says which file the pictures
    of a choice are in, if they have any."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG,
        Binding("down", "down", "Down", show=False),
        Binding("up", "up", "Up", show=False),
    ]

    def __init__(
        self,
        question: str,
        choices: Sequence[tuple[str, str]],
        empty: str,
        seen: Callable[[int], Path] | None = None,
    ) -> None:
        super().__init__()
        self._question, self._choices, self._empty = question, choices, empty
        self._seen = seen

    def compose(self) -> ComposeResult:
        """The question, the line, the list, the pictures, the keys."""
        with Vertical(classes="dialog -tall" + (" -wide" if self._seen else "")):
            yield Static(plain(self._question, "bold"))
            yield Input(placeholder="Type to find", id="narrow")
            with Horizontal():
                yield OptionList()
                if self._seen:
                    yield Peek(id="peek")
            yield Static("Enter takes it, Escape leaves all as it is.", classes="hint")
        yield KeyLine()

    def on_mount(self) -> None:
        """Everything at first."""
        super().on_mount()
        self._show("")

    @on(OptionList.OptionHighlighted)
    def look(self, event: OptionList.OptionHighlighted) -> None:
        """Show the pictures of what is highlighted."""
        if self._seen and event.option.id is not None:
            self.query_one(Peek).look(self._seen(int(event.option.id)))

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

    def __init__(
        self,
        entry: Entry,
        wishes: Sequence[str] = DETAIL_WISHES,
        neighbour: Callable[[int], Entry | None] = lambda _by: None,
    ) -> None:
        super().__init__()
        self.entry, self._wishes, self._neighbour = entry, wishes, neighbour

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done where it was opened, and with what is shown."""
        wish = parameters[0] if action == "dismiss" and parameters else None
        if wish in _OF_WHOLE and self.entry.info is None:
            return False
        return wish in (None, *self._wishes)

    def action_step(self, by: int) -> None:
        """To a neighbour."""
        if entry := self._neighbour(by):
            self.entry = entry
            self.query_one(DifferenceView).show(entry)
            self.refresh_bindings()

    def action_go(self, mode: str) -> None:
        """To another screen."""
        self.dismiss(None)
        self.app.switch_mode(mode)

    def compose(self) -> ComposeResult:
        """The view and the footer."""
        yield DifferenceView(id="whole")
        yield KeyLine()

    def on_mount(self) -> None:
        """Fill the view."""
        view = self.query_one(DifferenceView)
        view.show(self.entry)
        view.focus()
