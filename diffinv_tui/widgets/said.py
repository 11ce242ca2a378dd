"""A short text of our own that follows when the app's words are changed."""

from __future__ import annotations

from textual.widgets import Static

from ..words import say


class Said(Static):
    """A label whose words, named as :mod:`diffinv_tui.words` names them, may become other ones."""

    def __init__(self, text: str, *, id: str | None = None, classes: str = "") -> None:
        super().__init__(say(text), id=id, classes=classes, markup=False)
        self._text = text

    def put(self, text: str) -> None:
        """Another text."""
        self._text = text
        self.say_again()

    def say_again(self) -> None:
        """The same text in the words of now."""
        self.update(say(self._text))
