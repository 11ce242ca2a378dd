"""The parts of forms: a label beside a control, choices out of the plugins, checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Checkbox, Collapsible, Input, Select, Static
from textual.widgets.select import InvalidSelectValueError

from diffinv.errors import UsageError
from diffinv.system.text import text_safe

from ..formatting import plain, tilde
from ..words import say
from .said import Said

if TYPE_CHECKING:
    from textual.app import ComposeResult

_VALUE: Any = Select.__dict__["value"]

AUTOMATIC = ""
"""The value of a choice that is left to diffinv."""


class Field(Horizontal):
    """A control with its name at its left."""

    def __init__(self, label: str, control: Widget) -> None:
        super().__init__()
        self._label, self._control = label, control

    def compose(self) -> ComposeResult:
        """Label and control."""
        yield Said(self._label, classes="field-label")
        yield self._control


def text_line(id: str, placeholder: str = "", value: str = "") -> Input:
    """A line of text in a form."""
    return Input(value, placeholder=placeholder, id=id)


def choice(id: str, options: Iterable[tuple[str, str]], value: str = AUTOMATIC) -> Select[str]:
    """A choice of (shown, value)."""
    shown = [(Content(text_safe(title)[:60]), key) for title, key in options]
    return Select(shown, id=id, value=value, allow_blank=False, compact=True)


def fill(select: Select[str], options: Iterable[tuple[str, str]], value: str) -> None:
    """Other choices for a Select, and the one that is taken where it is among them."""
    listed = list(options)
    select.set_options([(Content(text_safe(title)[:60]), key) for title, key in listed])
    select.set_reactive(_VALUE, Select.NULL)  # so that the text is drawn anew in any case
    select.value = value if value in {key for _, key in listed} else listed[0][1]


def chosen(screen: Widget, id: str, default: str = AUTOMATIC) -> str:
    """What a Select says; ``default`` as long as it has not been made."""
    for select in screen.query(f"#{id}").results(Select):
        return select.value if isinstance(select.value, str) else AUTOMATIC
    return default


def typed(screen: Widget, id: str, default: str = "") -> str:
    """What a line says; ``default`` as long as it has not been made."""
    for line in screen.query(f"#{id}").results(Input):
        return line.value.strip()
    return default


def ticked(screen: Widget, id: str, default: bool) -> bool:
    """Whether a box is ticked; ``default`` as long as it has not been made."""
    for box in screen.query(f"#{id}").results(Checkbox):
        return box.value
    return default


def number_typed(screen: Widget, id: str, label: str, kind: type[Any]) -> Any:
    """The number in a line; None where it is empty. Raises UsageError where it is none."""
    text = typed(screen, id)
    if not text:
        return None
    try:
        return kind(text.replace(",", "."))
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise UsageError(f"{say(label)}: {text_safe(text)!r} is not {wanted}.") from None


def write(screen: Widget, lines: Mapping[str, str]) -> None:
    """Put texts into lines, by their ids."""
    for id, text in lines.items():
        screen.query_one(f"#{id}", Input).value = text_safe(text)


def choose(screen: Widget, choices: Mapping[str, str]) -> list[str]:
    """Take choices, by their ids; the values that are not among what can be chosen."""
    lost = []
    for id, value in choices.items():
        try:
            screen.query_one(f"#{id}", Select).value = value
        except InvalidSelectValueError:
            lost.append(value)
    return lost


def not_shown(asked: Any, shown: Any, names: Iterable[str]) -> list[str]:
    """What was asked for and a form cannot show, ``NAME VALUE`` each."""
    values = {name: (getattr(asked, name), getattr(shown, name)) for name in names}
    return [f"{name.replace('_', ' ')} {a}" for name, (a, b) in values.items() if a != b]


class More(Collapsible):
    """Further settings, made when they are first looked at: a form opens sooner without them."""

    def __init__(self, fields: Callable[[], Iterable[Widget]]) -> None:
        super().__init__(title="More settings", id="more")
        self._fields = fields

    def watch_collapsed(self, collapsed: bool) -> None:
        """Make the settings, once."""
        contents = self.query_one(Collapsible.Contents)
        if not collapsed and not contents.children:
            contents.mount_all(self._fields())

    async def unfold(self) -> None:
        """Show the settings; they are there afterwards."""
        contents = self.query_one(Collapsible.Contents)
        if not contents.children:
            await contents.mount_all(self._fields())
        self.collapsed = False


class Checks(Static):
    """What is right and what is wrong with a form, before anything starts."""

    _bad = ""
    _found = ""
    """What the line that has the focus said when it got it."""

    def on_mount(self) -> None:
        """What is wrong is marked as such when the field is left."""
        self.watch(self.screen, "focused", self._focus_moved, init=False)

    def say(self, good: Iterable[str] = (), notes: Iterable[str] = (), bad: str = "") -> None:
        """Facts, things to know, and the first thing that is in the way: while somebody types, it
        may only be unfinished."""
        self._bad = bad
        self._show(good, notes, bad, typing=self._is_typing())

    def _is_typing(self) -> bool:
        line = self.screen.focused
        return isinstance(line, Input) and line.value != self._found

    def _show(self, good: Iterable[str], notes: Iterable[str], bad: str, typing: bool) -> None:
        text = Text()
        for mark, style, lines in (
            ("✓ ", "good", good),
            ("! ", "warn", notes),
            ("… " if typing else "✗ ", "muted" if typing else "bad", [bad] if bad else []),
        ):
            for line in lines:
                said = plain(tilde(line), limit=400)
                text.append(mark, style).append_text(said).append("\n")
        text.rstrip()
        self.set_class(bool(bad) and not typing, "-bad")
        self.update(text)

    def _focus_moved(self, focused: Widget | None) -> None:
        self._found = focused.value if isinstance(focused, Input) else ""
        if self._bad:
            self._show((), (), self._bad, typing=False)

    def wait(self, for_what: str) -> None:
        """Nothing to check yet."""
        self._bad = ""
        self.remove_class("-bad")
        self.update(Text(for_what, "muted"))
