"""Windows that ask for a file or a folder."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING

from rich import filesize
from rich.text import Text
from textual import on, work
from textual.strip import Strip
from textual.visual import Visual, visualize
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import get_current_worker
from textual_fspicker import FileOpen, Filters, SelectDirectory
from textual_fspicker.parts import CurrentDirectory, DirectoryNavigation
from textual_fspicker.parts.directory_navigation import DirectoryEntry

from diffinv.difference import SUFFIX
from diffinv.errors import DiffinvError
from diffinv.pictures.reading import SUFFIXES

from ..formatting import day, plain, short_path
from ..messages import tell
from ..pictures import open_thumbnail
from ..widgets.peek import Peek
from ..widgets.picture import Picture
from .base import Window

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult
    from textual.css.styles import RulesMap
    from textual.style import Style
    from textual.visual import RenderOptions

_AT_ONCE = 200
"""Entries that are listed at once; between two portions the app does what else there is."""

_BETWEEN = 0.02

_FILE_KEYS = "Enter opens or takes   Backspace goes up   . hidden ones   Esc closes"
_FOLDER_KEYS = "Enter opens   Tab, Enter: this folder   Backspace goes up   Esc closes"


class FileLine(Visual):
    """A file or folder of the list: its name, how large it is, and its day.

    The list need not draw it to know that it is one line high, and it is drawn without a table,
    which would take a millisecond a line.
    """

    def __init__(self, widget: Widget, location: Path) -> None:
        self._widget = widget
        self._name, self._size, self._day = plain(location.name, "muted"), "", ""
        with contextlib.suppress(OSError):  # gone, or a link to nothing
            found = location.stat()
            folder = S_ISDIR(found.st_mode)
            self._name = plain(f"{location.name}/", "bold") if folder else plain(location.name)
            self._size = "" if folder else filesize.decimal(found.st_size)
            self._day = day(datetime.fromtimestamp(found.st_mtime).isoformat())

    def get_height(self, rules: RulesMap, width: int) -> int:
        """One line."""
        return 1

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """What there is."""
        return container_width

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """The line; of a long name the beginning."""
        about = Text(f"{self._size:>10}{self._day:>13}", "muted")
        name = self._name.copy()
        name.truncate(max(1, width - len(about)), overflow="ellipsis", pad=True)
        line = visualize(self._widget, name.append_text(about))
        return line.render_strips(width, height, style, options)


class Listing(DirectoryNavigation):
    """The files of a folder, sorted in a thread and listed in portions."""

    def _repopulate_display(self) -> None:
        self._arrange(self._entries)

    @work(thread=True, exclusive=True, group="arrange")
    def _arrange(self, found: Sequence[DirectoryEntry]) -> None:
        worker = get_current_worker()
        shown = list(self._sort(entry for entry in found if not self.hide(entry.location)))
        if not self.is_root:
            shown.insert(0, DirectoryEntry(self._location / "..", self._styles))
        for start in range(0, len(shown), _AT_ONCE):
            portion = shown[start : start + _AT_ONCE]
            for entry in portion:
                entry._set_prompt(FileLine(self, entry.location))
            if worker.is_cancelled:
                return
            tell(self.app, self._list, portion, start == 0)
            time.sleep(_BETWEEN)

    def _list(self, entries: Sequence[DirectoryEntry], afresh: bool) -> None:
        if not self.is_attached:
            return
        if afresh:
            self.clear_options()
        self.add_options(entries)
        self._settle_highlight()


class Where(CurrentDirectory):
    """The folder that is listed; of a long path the end."""

    def _watch_current_directory(self) -> None:
        path = plain(short_path(self.current_directory)) if self.current_directory else Text()
        cut = len(path) - self.size.width + 1
        self.update(Text("…") + path[cut:] if cut > 1 else path)


def _parts(widgets: Iterable[Widget], keys: str) -> ComposeResult:
    """A dialog's own parts, with a list that does not hold the app up, plain text, and its keys."""
    for widget in widgets:
        if isinstance(widget, DirectoryNavigation):
            yield Listing(widget._initial_location)
        elif isinstance(widget, CurrentDirectory):
            yield Where()
        else:
            yield widget
    yield Static(keys, id="picker-keys")


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


class PickPicture(FileOpen, Window[Path | None]):
    """A file dialog that shows the picture under the cursor."""

    def __init__(self, location: Path, title: str) -> None:
        filters = Filters(("Pictures", _is_picture), ("All files", lambda _path: True))
        super().__init__(str(location), title, filters=filters)

    def compose(self) -> ComposeResult:
        """The dialog."""
        yield from _parts(super().compose(), _FILE_KEYS)

    def on_mount(self) -> None:
        """Put the picture beside the list."""
        super().on_mount()
        row = self.query_one(DirectoryNavigation).parent
        assert isinstance(row, Widget)
        row.mount(Picture("A picture that is highlighted is shown here.", id="picked"))

    @on(DirectoryNavigation.Highlighted)
    def _look(self, event: DirectoryNavigation.Highlighted) -> None:
        self._open(event.path)

    @on(DirectoryNavigation.Selected)
    def _take(self, event: DirectoryNavigation.Selected) -> None:
        """Enter on a picture is enough."""
        event.stop()
        event.prevent_default()
        self.dismiss(event.path)

    @work(thread=True, exclusive=True, group="look")
    def _open(self, path: Path) -> None:
        if not _is_picture(path):
            tell(self.app, self._show, None, "")
            return
        try:
            tell(self.app, self._show, open_thumbnail(path), "")
        except DiffinvError as error:
            tell(self.app, self._show, None, str(error))

    def _show(self, image: Image | None, message: str) -> None:
        if self.is_attached:
            self.query_one("#picked", Picture).show(image, message)


class PickDifference(FileOpen, Window[Path | None]):
    """A file dialog for difference files."""

    def __init__(self, location: Path) -> None:
        def is_wanted(path: Path) -> bool:
            return path.suffix == SUFFIX

        filters = Filters(("Differences", is_wanted), ("All files", lambda _path: True))
        super().__init__(str(location), "Import a difference", filters=filters)

    def compose(self) -> ComposeResult:
        """The dialog."""
        yield from _parts(super().compose(), _FILE_KEYS)


class PickFolder(SelectDirectory, Window[Path | None]):
    """A dialog for a folder."""

    def __init__(self, location: Path, title: str) -> None:
        super().__init__(str(location), title, select_button="Take this folder")

    def compose(self) -> ComposeResult:
        """The dialog."""
        yield from _parts(super().compose(), _FOLDER_KEYS)

    def on_mount(self) -> None:
        """Put what is in the folder beside the list."""
        super().on_mount()
        row = self.query_one(DirectoryNavigation).parent
        assert isinstance(row, Widget)
        row.mount(Peek(id="peek"))

    @on(DirectoryNavigation.Highlighted)
    def _look(self, event: DirectoryNavigation.Highlighted) -> None:
        here = event.navigation.location
        for peek in self.query(Peek):
            peek.look(here if event.path.name == ".." else event.path)
