"""A picture that is yet to be chosen: Enter picks it, a path can be pasted or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from diffinv.errors import DiffinvError

from ..bindings import PICTURE
from ..formatting import plain
from ..messages import tell
from ..pictures import open_thumbnail
from .picture import Picture
from .said import Said

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult
    from textual.events import Click

_ASK = "Enter picks a file,\nor drop one here"


class PictureField(Vertical, can_focus=True):
    """One picture of a pair."""

    HELP = """One picture of the pair: **{before}** or **{after}** the change.

    Enter or a click opens the file picker. Files that are dragged into the terminal, or pasted as
    paths, fill the places in turn, and further pairs. Backspace takes the picture away.
    """
    BINDINGS: ClassVar[list[BindingType]] = PICTURE

    class Wanted(Message):
        """The file picker is wanted."""

        def __init__(self, field: PictureField) -> None:
            super().__init__()
            self.field = field

    class Changed(Message):
        """Another picture was chosen."""

    def __init__(self, label: str, kind: str) -> None:
        super().__init__(classes=f"figure -{kind}")
        self.label, self.kind = label, kind
        self.path: Path | None = None

    def compose(self) -> ComposeResult:
        """The label, the picture, the file's name."""
        yield Said(self.label, classes="figure-label")
        yield Picture(_ASK)
        yield Static("", classes="figure-name")

    def choose(self, path: Path | None) -> None:
        """Take a picture, or none."""
        self.path = path
        self.query_one(".figure-name", Static).update(plain(path.name if path else "", limit=80))
        picture = self.query_one(Picture)
        picture.show(None, "…" if path else _ASK)
        if path:
            self._open(path)
        self.post_message(self.Changed())

    @work(thread=True, exclusive=True)
    def _open(self, path: Path) -> None:
        try:
            tell(self.app, self._show, path, open_thumbnail(path), "")
        except DiffinvError as error:
            tell(self.app, self._show, path, None, error.neutral)

    def _show(self, path: Path, image: Image | None, message: str) -> None:
        if self.is_attached and path == self.path:
            self.set_class(bool(message), "-bad")
            self.query_one(Picture).show(image, message)

    def action_pick(self) -> None:
        """Open the file picker."""
        self.post_message(self.Wanted(self))

    def action_empty(self) -> None:
        """Take the picture away."""
        self.choose(None)

    def on_click(self, event: Click) -> None:
        """A click picks, too."""
        self.action_pick()
