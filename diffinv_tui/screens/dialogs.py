"""Small windows that ask one thing or show one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from diffinv.errors import DiffinvError
from diffinv.system.text import text_safe

from ..bindings import DETAIL, DIALOG, LARGE
from ..formatting import plain, short_path
from ..messages import tell
from ..pictures import open_thumbnail
from ..widgets.difference_view import DifferenceView, Figure
from ..widgets.footer import KeyLine
from ..widgets.results_grid import Result, ResultsGrid
from .base import Window

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from diffinv.storage.store import Entry

_AT_ONCE = 100
_LOOK_EVERY = 0.5

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


class Large(Window[int]):
    """B and B′ as large as the screen allows, and their neighbours. Dismissed with the index."""

    BINDINGS: ClassVar[list[BindingType]] = LARGE

    def __init__(self, wall: ResultsGrid) -> None:
        super().__init__()
        self._wall, self._index = wall, wall.cursor
        self._shown: Result | None = None

    def compose(self) -> ComposeResult:
        """Both pictures and what they are."""
        with Vertical(id="large"):
            with Horizontal(classes="figures"):
                yield Figure("B", "a", "…")
                yield Figure("B′", "prime", "…")
            yield Static(id="large-about")
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what was asked for, and what becomes of it."""
        self._show_result()
        self.set_interval(_LOOK_EVERY, self._follow)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There may be no neighbour."""
        if action == "step" and isinstance(parameters[0], int):
            return 0 <= self._index + parameters[0] < len(self._wall.results)
        return True

    def action_step(self, by: int) -> None:
        """To a neighbour."""
        self._index += by
        self._show_result()
        self.refresh_bindings()

    def action_dismiss_here(self) -> None:
        """Back, to the result that is shown."""
        self.dismiss(self._index)

    def _follow(self) -> None:
        if self._index < len(self._wall.results) and self._result != self._shown:
            self._show_result()

    @property
    def _result(self) -> Result:
        return self._wall.results[self._index]

    def _show_result(self) -> None:
        result = self._shown = self._result
        text = plain(short_path(result.after or result.before))
        for part in (result.about, f"{self._index + 1} of {len(self._wall.results)}"):
            text.append("   ").append_text(plain(part, "muted", 200))
        self.query_one("#large-about", Static).update(text)
        if result.after is None:
            self._show(result, 1, None, result.about or "not there yet")
        self._open(result)

    @work(thread=True, exclusive=True)
    def _open(self, result: Result) -> None:
        for index, path in enumerate((result.before, result.after)):
            if path is None:
                continue
            try:
                tell(self.app, self._show, result, index, open_thumbnail(path), "")
            except DiffinvError as error:
                tell(self.app, self._show, result, index, None, str(error))

    def _show(self, result: Result, index: int, image: Image | None, message: str) -> None:
        if self.is_attached and result is self._shown:
            list(self.query(Figure))[index].show(image, message)


def enlarge(wall: ResultsGrid) -> None:
    """Show the result under a gallery's cursor large; the cursor follows."""

    def back(index: int | None) -> None:
        wall.set_cursor(index or 0)

    if wall.current:
        wall.app.push_screen(Large(wall), back)
