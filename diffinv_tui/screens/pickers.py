"""Windows that ask for a file or a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.screen import Screen
from textual.strip import Strip
from textual.visual import Visual, visualize
from textual.widget import Widget
from textual.worker import get_current_worker
from textual_fspicker import FileOpen, Filters, SelectDirectory
from textual_fspicker.parts import DirectoryNavigation
from textual_fspicker.parts.directory_navigation import DirectoryEntry

from diffinv.difference import SUFFIX
from diffinv.errors import DiffinvError
from diffinv.images import SUFFIXES

from ..messages import tell
from ..pictures import open_thumbnail
from ..widgets.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult
    from textual.css.styles import RulesMap
    from textual.style import Style
    from textual.visual import RenderOptions

_AT_ONCE = 200
"""Entries that are listed at once; between two portions the app does what else there is."""

_BETWEEN = 0.02


class OneLine(Visual):
    """Something that is one line high, which the list need not find out by drawing it."""

    def __init__(self, widget: Widget, content: object) -> None:
        self._visual = visualize(widget, content)

    def get_height(self, rules: RulesMap, width: int) -> int:
        """One line."""
        return 1

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """What there is."""
        return container_width

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """The line."""
        return self._visual.render_strips(width, height, style, options)


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
            if worker.is_cancelled:
                return
            tell(self.app, self._list, shown[start : start + _AT_ONCE], start == 0)
            time.sleep(_BETWEEN)

    def _list(self, entries: Sequence[DirectoryEntry], afresh: bool) -> None:
        if not self.is_attached:
            return
        if afresh:
            self.clear_options()
        for entry in entries:
            if not isinstance(entry.prompt, OneLine):
                entry._set_prompt(OneLine(self, entry.prompt))
        self.add_options(entries)
        self._settle_highlight()


class _Quick(Screen[Path | None]):
    """Gives a dialog of textual-fspicker a list that does not hold the app up."""

    def compose(self) -> ComposeResult:
        """The dialog's own parts, but for the list."""
        for widget in super().compose():
            if isinstance(widget, DirectoryNavigation):
                yield Listing(widget._initial_location)
            else:
                yield widget


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


class PickPicture(_Quick, FileOpen):
    """A file dialog that shows the picture under the cursor."""

    def __init__(self, location: Path, title: str) -> None:
        filters = Filters(("Pictures", _is_picture), ("All files", lambda _path: True))
        super().__init__(str(location), title, filters=filters)

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


class PickDifference(_Quick, FileOpen):
    """A file dialog for difference files."""

    def __init__(self, location: Path) -> None:
        def is_wanted(path: Path) -> bool:
            return path.suffix == SUFFIX

        filters = Filters(("Differences", is_wanted), ("All files", lambda _path: True))
        super().__init__(str(location), "Import a difference", filters=filters)


class PickFolder(_Quick, SelectDirectory):
    """A dialog for a folder."""

    def __init__(self, location: Path, title: str) -> None:
        super().__init__(str(location), title)
