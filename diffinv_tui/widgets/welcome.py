"""What an empty library says: what this is, and what to press."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import on, work
from textual.containers import Center, Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from diffinv.errors import DiffinvError

from ..messages import tell
from ..pictures import open_thumbnail
from .difference_view import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image
    from textual.app import ComposeResult


class Welcome(Vertical):
    """The first thing a new user sees."""

    HELP = """Nothing has been learned yet. **x** runs the demo on pictures that are part of the
    installation, **n** learns a difference from pictures of your own, **i** imports a file.
    """

    class Chosen(Message):
        """One of the ways to begin."""

        def __init__(self, way: str) -> None:
            super().__init__()
            self.way = way

    def compose(self) -> ComposeResult:
        """The example, two sentences, three ways to begin."""
        with Vertical(id="welcome-box"):
            with Center(), Horizontal(id="welcome-pictures", classes="figures"):
                yield Figure("{Before}", "a")
                yield Static("→", id="welcome-arrow")
                yield Figure("{After}", "prime")
            yield Static("Show a change once, apply it to anything", id="welcome-title")
            yield Static(
                "Give a picture before and after. What changed is learned as a difference,\n"
                "kept in this library, and can be applied to every other picture.",
                id="welcome-text",
            )
            with Center(), Horizontal(id="welcome-buttons"):
                yield Button(_label("x", "Run the demo"), id="demo", variant="primary")
                yield Button(_label("n", "New difference"), id="new")
                yield Button(_label("i", "Import a file"), id="import")
            yield Static("The demo takes about a minute and downloads nothing.", id="welcome-hint")

    def show_example(self, folder: Path) -> None:
        """Show the pictures that a backbone brings."""
        self._open(folder)

    @work(thread=True)
    def _open(self, folder: Path) -> None:
        for index, name in enumerate(("a.png", "a_prime.png")):
            try:
                tell(self.app, self._show, index, open_thumbnail(folder / name))
            except DiffinvError:  # an example less
                continue

    def _show(self, index: int, image: Image) -> None:
        if self.is_attached:
            list(self.query(Figure))[index].show(image)

    @on(Button.Pressed)
    def press(self, event: Button.Pressed) -> None:
        """Begin."""
        event.stop()
        self.post_message(self.Chosen(event.button.id or ""))


def _label(key: str, text: str) -> Text:
    return Text.assemble((f"{key} ", "muted"), text)
