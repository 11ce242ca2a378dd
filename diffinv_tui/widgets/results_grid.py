"""Results as they come: every B beside its B′."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from diffinv.errors import DiffinvError

from ..formatting import plain
from ..pictures import open_thumbnail
from .pair_grid import Pair, PairGrid

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Result:
    """One B and its B′, which may still be to come, with a line about them."""

    before: Path
    after: Path | None
    about: str = ""


class ResultsGrid(PairGrid):
    """A gallery of results."""

    HELP = """The results, as they are made, each beside the picture that it was made from.

    Arrows move, **Enter** shows one of them large.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.results: list[Result] = []
        self._folder = Path()

    def show(self, results: Sequence[Result]) -> None:
        """Show these results; what was there already keeps its pictures."""
        if list(results) != self.results:
            self.results = list(results)
            self._folder = _common_folder(self.results)
            for key in self._pairs.keys() - set(self.results):
                del self._pairs[key]  # the file may be another one when the result is here again
            self.renew(len(self.results))

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

    def title(self, index: int, back: Style) -> Text:
        """The picture, by its path from the folder that has all of them."""
        before = self.results[index].before
        shown = before.relative_to(self._folder) if before.is_relative_to(self._folder) else before
        return plain(str(shown), self.part("title", back), 80)

    def about(self, index: int, back: Style) -> Text:
        """How long it took, or at which strength it is."""
        return plain(self.results[index].about, self.part("muted", back), 80)


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
