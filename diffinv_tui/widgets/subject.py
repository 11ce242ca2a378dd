"""What a dialog is about: its name beside its pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.containers import Horizontal
from textual.widgets import Static

from diffinv.errors import DiffinvError

from ..formatting import plain
from ..messages import tell
from ..pictures import file_pictures
from .picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult


class Subject(Horizontal):
    """A difference or a picture, small; of a difference the pictures before and after."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__()
        self._title, self._path = name, path

    def compose(self) -> ComposeResult:
        """Two places for pictures, the name."""
        yield Picture()
        yield Picture()
        yield Static(plain(self._title, "bold", 120))

    def on_mount(self) -> None:
        """Nothing is shown of what has no pictures."""
        for picture in self.query(Picture):
            picture.display = False
        self._open()

    @work(thread=True)
    def _open(self) -> None:
        try:
            tell(self.app, self._show, file_pictures(self._path))
        except DiffinvError:  # the name is there
            return

    def _show(self, images: list[Image]) -> None:
        if self.is_attached:
            for picture, image in zip(self.query(Picture), images, strict=False):
                picture.display = True
                picture.show(image)
