"""A list of lines, with the keys that lists have elsewhere."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from ..bindings import LIST
from .dialogs import Choose


class LineList(OptionList):
    """j, k, g and G move, / finds."""

    BINDINGS: ClassVar[list[BindingType]] = LIST

    def action_find(self) -> None:
        """Go to a line by some letters of it."""

        there = [i for i, option in enumerate(self.options) if not option.disabled]

        def go(index: int | None) -> None:
            if index is not None:
                self.highlighted = there[index]

        choices = [_words(self.options[i]) for i in there]
        self.app.push_screen(Choose("Go to", choices, "There is nothing here."), go)


def _words(option: Option) -> tuple[str, str]:
    """The first line of an option, and the others."""
    prompt = option.prompt
    text = prompt.plain if isinstance(prompt, Text) else str(prompt)
    first, _, rest = text.partition("\n")
    return first.strip(), " ".join(rest.split())
