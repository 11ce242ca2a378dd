"""What is in a file or a folder: the picture, or how many there are and the first of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich import filesize
from textual import work
from textual.containers import Vertical
from textual.widgets import Static
from textual.worker import Worker, get_current_worker

from diffinv.errors import DiffinvError
from diffinv.pictures.reading import glance
from diffinv.system.text import plural

from ..formatting import day, plain
from ..messages import tell
from ..pictures import file_pictures, open_thumbnail
from .picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

_FILES = 5_000
"""Files that are looked through for pictures: the whole of a disk may be below a folder."""
_SHOWN = 3


class Peek(Vertical):
    """A file's picture or pictures, or a folder's, counted and the first ones shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._path: Path | None = None

    def compose(self) -> ComposeResult:
        """The name, what there is, the pictures."""
        yield Static(id="peek-count")
        for _ in range(_SHOWN):
            yield Picture()

    @work(thread=True, exclusive=True, group="peek")
    def look(self, path: Path) -> None:
        """Look into a file or a folder, in a thread."""
        worker = get_current_worker()
        if path.is_dir():
            self._look_into(path, worker)
            return
        try:
            pictures = file_pictures(path)
        except DiffinvError as error:
            tell(self.app, self._say, path, error.neutral, 0)
            return
        tell(self.app, self._say, path, about_file(path), len(pictures))
        for index, image in enumerate(pictures):
            tell(self.app, self._show, path, index, image)

    def _look_into(self, folder: Path, worker: Worker[object]) -> None:
        count, whole, own = glance(folder, _FILES)
        said = _counted(count, whole, len(own))
        tell(self.app, self._say, folder, said, min(_SHOWN, len(own)))
        shown = 0
        for path in own:
            if worker.is_cancelled or shown == _SHOWN:
                return
            try:
                tell(self.app, self._show, folder, shown, open_thumbnail(path))
                shown += 1
            except DiffinvError:  # a damaged one says nothing about the others
                continue

    def _say(self, path: Path, said: str, pictures: int) -> None:
        """Name a file or folder, and make room for its pictures."""
        if not self.is_attached:
            return
        self._path = path
        text = plain(path.name or str(path), "bold", 60).append("\n")
        self.query_one("#peek-count", Static).update(text.append_text(plain(said, "muted", 300)))
        for index, picture in enumerate(self.query(Picture)):
            picture.show(None)
            picture.display = index < pictures

    def _show(self, path: Path, index: int, image: Image) -> None:
        if self.is_attached and path == self._path:
            list(self.query(Picture))[index].show(image)


def about_file(path: Path) -> str:
    """How large a file is, and of which day; nothing where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return ""
    when = day(datetime.fromtimestamp(found.st_mtime).isoformat())
    return f"{filesize.decimal(found.st_size)}, {when}"


def _counted(count: int, whole: bool, own: int) -> str:
    if not count:
        return "no pictures"
    number = plural(count, "picture") if whole else f"{count:,} pictures and more"
    if not own:
        return f"{number}, in folders below"
    return f"{number}, {count - own:,} of them in folders below" if own < count else number
