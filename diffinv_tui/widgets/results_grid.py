"""Results as they come: every B beside its B′."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import work
from textual.binding import BindingType

from diffinv.errors import DiffinvError

from ..bindings import RESULTS
from ..formatting import plain, short_path, tilde
from ..marking import FILTERS, SIGNS, MarkBook
from ..messages import tell
from ..pictures import open_thumbnail
from ..viewer import open_in_viewer
from .pair_grid import Pair, PairGrid

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import App

    from diffinv.jobs.marks import Mark


@dataclass(frozen=True)
class Result:
    """One B and its B′, which may still be to come, with a line about them, and the folder of
    results in which it may be marked."""

    before: Path
    after: Path | None
    about: str = ""
    folder: Path | None = None

    @property
    def file(self) -> Path:
        """The result, or the picture as long as there is none."""
        return self.after or self.before


class ResultsGrid(PairGrid):
    """A gallery of results."""

    HELP = """The results, as they are made, each beside the picture that it was made from.

    Arrows move, **Enter** shows one of them large.

    - **k** keeps one, **x** rejects it, an asterisk stars it; the same key takes the mark away.
    - **f** shows those with one mark alone, mark after mark.
    - **o** opens the file in the system's viewer, **y** copies its path.
    """
    BINDINGS: ClassVar[list[BindingType]] = RESULTS

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.results: list[Result] = []
        self.only = ""
        self._all: list[Result] = []
        self._folder = Path()
        self._known: set[Path] = set()
        self._book = MarkBook()

    def on_mount(self) -> None:
        """All galleries of an app know the same marks."""
        self._book = getattr(self.app, "marks", self._book)

    def show(self, results: Sequence[Result]) -> None:
        """Show these results; what was there already keeps its pictures."""
        if list(results) == self._all:
            return
        self._all = list(results)
        self._folder = _common_folder(self._all)
        for key in self._pairs.keys() - set(self._all):
            del self._pairs[key]  # the file may be another one when the result is here again
        folders = {result.folder for result in self._all if result.folder}
        if folders - self._known:
            self._known |= folders
            self._read_marks(sorted(folders))
        self.sift()

    # Marks

    def mark_of(self, result: Result) -> Mark | None:
        """A result's mark."""
        return self._book.of(result.folder, result.after)

    def sift(self) -> None:
        """Show what has the mark that is asked for; all where nothing has. The cursor stays with
        its result."""
        before = self.current
        found = [result for result in self._all if self._is_seen(result)]
        if not found:
            self.only, found = "", list(self._all)
        self.results = found
        if before in found:
            self.set_reactive(PairGrid.cursor, found.index(before))
        self.renew(len(found))

    def _is_seen(self, result: Result) -> bool:
        return not self.only or self.only == (self.mark_of(result) or "unmarked")

    def mark(self, result: Result, mark: Mark) -> None:
        """Mark a result, or take this mark away."""
        if result.folder is None or result.after is None:
            return
        self._book.toggle(result.folder, result.after, mark)
        self.redraw()
        self.post_message(self.Moved(self))
        self._keep_mark(result.folder, result.after)

    def action_mark(self, mark: Mark) -> None:
        """Mark the result under the cursor."""
        if self.current:
            self.mark(self.current, mark)
            if self.only:
                self.sift()

    def action_filter(self) -> None:
        """Those with the next mark that any result has, or all."""
        there = {self.mark_of(result) or "unmarked" for result in self._all}
        ways = ["", *(only for only in FILTERS if only in there and len(there) > 1)]
        self.only = ways[(ways.index(self.only) + 1) % len(ways)] if self.only in ways else ""
        self.sift()

    @property
    def sifted(self) -> str:
        """What is seen alone, and how many those are; nothing where all are seen."""
        return f"{self.only}: {len(self.results)} of {len(self._all)}" if self.only else ""

    @work(thread=True, group="marks")
    def _read_marks(self, folders: Sequence[Path]) -> None:
        try:
            self._book.read(folders)
        except DiffinvError as error:
            tell(self.app, self._say, error.neutral)
        tell(self.app, self.sift)

    @work(thread=True, group="marks")
    def _keep_mark(self, folder: Path, result: Path) -> None:
        try:
            self._book.keep(folder, result)
        except DiffinvError as error:
            tell(self.app, self._say, error.neutral)

    def _say(self, problem: str) -> None:
        self.app.notify(tilde(problem), severity="warning", markup=False)

    # Files

    def action_view(self) -> None:
        """Open the result in the system's viewer."""
        if self.current:
            try:
                open_in_viewer(self.current.file)
            except DiffinvError as error:
                self._say(error.neutral)

    def action_copy(self) -> None:
        """Put the result's path onto the clipboard."""
        if self.current:
            copy_path(self.app, self.current.file)

    @property
    def current(self) -> Result | None:
        """The result under the cursor."""
        return self.results[self.cursor] if self.cursor < len(self.results) else None

    def key_at(self, index: int) -> Result:
        """The result itself."""
        return self.results[index]

    def open_pictures(self, key: Result) -> Pair:
        """B and, where it is there, B′."""
        return _open(key.before), _open(key.after)

    def stamp(self, index: int) -> object:
        """The mark."""
        return self.mark_of(self.results[index])

    def title(self, index: int, back: Style) -> Text:
        """The mark, and the picture by its path from the folder that has all of them."""
        before, mark = self.results[index].before, self.mark_of(self.results[index])
        text = Text(no_wrap=True)
        if mark:
            text.append(f"{SIGNS[mark]} ", self.part("bad" if mark == "rejected" else "mark", back))
        shown = before.relative_to(self._folder) if before.is_relative_to(self._folder) else before
        return text.append_text(plain(str(shown), self.part("title", back), 80))

    def about(self, index: int, back: Style) -> Text:
        """How long it took, or at which strength it is."""
        return plain(self.results[index].about, self.part("muted", back), 80)


def copy_path(app: App[Any], path: Path) -> None:
    """Put a path onto the terminal's clipboard."""
    app.copy_to_clipboard(str(path.absolute()))
    app.notify(f"The path is on the clipboard: {short_path(path)}", markup=False)


def _common_folder(results: Sequence[Result]) -> Path:
    try:
        return Path(os.path.commonpath([result.before.parent for result in results]))
    except ValueError:  # none, on several drives, or absolute and relative
        return Path()


def _open(path: Path | None) -> Image | None:
    if path is None:
        return None
    try:
        return open_thumbnail(path)
    except DiffinvError:  # gone, or damaged since
        return None
