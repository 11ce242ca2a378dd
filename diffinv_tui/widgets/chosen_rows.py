"""What was chosen, a line each: differences with their strengths, pictures and folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Button, Static

from ..formatting import plain, short_path
from .slider import Slider

if TYPE_CHECKING:
    from textual.app import ComposeResult


class Row(Horizontal):
    """Something that was chosen, with a cross to take it away."""

    class Removed(Message):
        """It is not wanted after all."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    def __init__(self, path: Path) -> None:
        super().__init__(classes="chosen")
        self.path = path

    @on(Button.Pressed)
    def remove_it(self, event: Button.Pressed) -> None:
        """Take it away."""
        event.stop()
        self.post_message(self.Removed(self))


class Chosen(Row):
    """A difference with its strength."""

    def __init__(self, name: str, path: Path, strength: float = 1.0) -> None:
        super().__init__(path)
        self.label, self._strength = name, strength

    def compose(self) -> ComposeResult:
        """The name, the slider, a cross."""
        yield Static(plain(self.label, limit=60), classes="chosen-name")
        yield Slider(self._strength)
        yield Button("✗", compact=True, classes="cross")

    def on_mount(self) -> None:
        """Its strength comes next."""
        for slider in self.query(Slider):  # none where the row is taken away at once
            slider.focus()

    @property
    def strength(self) -> float:
        """What the slider says, or will say once it is there."""
        sliders = self.query(Slider)
        return sliders.first().value if sliders else self._strength


class Source(Row):
    """A picture or a folder of pictures."""

    def compose(self) -> ComposeResult:
        """The path, a cross."""
        yield Static(plain(short_path(self.path), limit=200), classes="source-name")
        yield Button("✗", compact=True, classes="cross")
