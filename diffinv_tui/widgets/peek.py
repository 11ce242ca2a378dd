"""What is in a folder: how many pictures, and the first of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.containers import Vertical
from textual.widgets import Static
from textual.worker import get_current_worker

from diffinv.errors import DiffinvError
from diffinv.pictures.reading import glance
from diffinv.system.text import plural

from ..formatting import plain
from ..messages import tell
from ..pictures import open_thumbnail
from .picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

_FILES = 5_000
"""Files that are looked through for pictures: the whole of a disk may be below a folder."""
_SHOWN = 3


class Peek(Vertical):
    """A folder's pictures, counted and the first ones shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._folder: Path | None = None

    def compose(self) -> ComposeResult:
        """The count and the pictures."""
        yield Static(id="peek-count")
        for _ in range(_SHOWN):
            yield Picture()

    @work(thread=True, exclusive=True, group="peek")
    def look(self, folder: Path) -> None:
        """Look into a folder, in a thread."""
        worker = get_current_worker()
        count, whole, own = glance(folder, _FILES)
        tell(self.app, self._say, folder, count, whole, len(own))
        shown = 0
        for path in own:
            if worker.is_cancelled or shown == _SHOWN:
                return
            try:
                tell(self.app, self._show, folder, shown, open_thumbnail(path))
                shown += 1
            except DiffinvError:  # a damaged one says nothing about the others
                continue

    def _say(self, folder: Path, count: int, whole: bool, own: int) -> None:
        if not self.is_attached:
            return
        self._folder = folder
        number = plural(count, "picture") if whole else f"{count:,} pictures and more"
        below = f", {count - own:,} of them in folders below" if 0 < own < count else ""
        below = ", in folders below" if count and not own else below
        text = plain(folder.name or str(folder), "bold", 60)
        said = f"{number}{below}" if count else "no pictures"
        self.query_one("#peek-count", Static).update(text.append(f"\n{said}", "muted"))
        for picture in self.query(Picture):
            picture.show(None)

    def _show(self, folder: Path, index: int, image: Image) -> None:
        if self.is_attached and folder == self._folder:
            list(self.query(Picture))[index].show(image)
