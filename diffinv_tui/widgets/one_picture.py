"""One picture, large, before and after, and what it is like at several strengths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from diffinv.errors import DiffinvError

from ..bindings import ONE_PICTURE
from ..formatting import plain
from ..messages import tell
from ..pictures import open_thumbnail
from ..trying import STRENGTHS, Seen
from .difference_view import Figure
from .results_grid import Result
from .strength_strip import StrengthStrip

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from diffinv.jobs.marks import Mark

_SIDE = 640
"""Pixels a side of what is kept of a picture: as many as a large terminal has parts of cells."""
_KEPT = 32
_ROOM_FOR_TWO = 48
"""Cells beside each other that two pictures need."""


class Pair(Horizontal, can_focus=True):
    """Before and after; where there is little room, one of them."""

    HELP = """The picture that is tried, before and after.

    **Left** and **right** go to other pictures of the folder, **Space** shows one of the two in the
    other's place, **Enter** compares them over the whole screen. **Try it** makes the result.
    """
    BINDINGS: ClassVar[list[BindingType]] = ONE_PICTURE

    class Stepped(Message):
        """Another picture is wanted."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Opened(Message):
        """It is to be seen over the whole screen."""

    def __init__(self) -> None:
        super().__init__()
        self._flipped = self._is_before = False
        self._is_tried = True

    def compose(self) -> ComposeResult:
        """The two."""
        yield Figure("Before", "a", " ")
        yield Figure("After", "prime", " ")

    def lay_out(self, is_tried: bool) -> bool:
        """Both in the same size, or one of the two; whether it is one. As long as there is no
        after, it is the one before."""
        self._is_tried = is_tried
        before, after = self.query(Figure)
        one = self._flipped or self.size.width < _ROOM_FOR_TWO
        first = self._is_before or not is_tried
        before.display, after.display = not one or first, not (one and first)
        before.styles.width = after.styles.width = "1fr" if one else self.size.width // 2
        return one

    def on_resize(self) -> None:
        """Both may fit, or no longer."""
        self.lay_out(self._is_tried)

    def action_step(self, by: int) -> None:
        """To another picture."""
        self.post_message(self.Stepped(by))

    def action_large(self) -> None:
        """Over the whole screen."""
        self.post_message(self.Opened())

    def action_flip(self) -> None:
        """The other of the two, in the same place."""
        self._is_before = self._is_tried and not self._is_before
        self._flipped = True
        self.lay_out(self._is_tried)

    def action_both(self) -> None:
        """Side by side again."""
        self._flipped = self._is_before = False
        self.lay_out(self._is_tried)


class OnePicture(Vertical):
    """The pair, and the strip below it where there has been a sweep."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._seen: Seen | None = None
        self._images: OrderedDict[Path, tuple[object, Image | str]] = OrderedDict()

    def compose(self) -> ComposeResult:
        """From top to bottom."""
        yield Pair()
        yield Static("", classes="picture-name")
        yield StrengthStrip(len(STRENGTHS))

    @property
    def strip(self) -> StrengthStrip:
        """The strengths."""
        return self.query_one(StrengthStrip)

    @property
    def results(self) -> list[Result]:
        """The picture with its result, or with that of each strength."""
        seen = self._seen
        if seen is None:
            return []
        if not seen.steps:
            return [Result(seen.picture, seen.after, seen.label if seen.after else seen.message)]
        return [
            Result(seen.picture, step.result, f"strength {step.strength:+g}") for step in seen.steps
        ]

    @property
    def cursor(self) -> int:
        """The strength that is chosen."""
        return self.strip.cursor if self._seen and self._seen.steps else 0

    def set_cursor(self, index: int) -> None:
        """Choose a strength."""
        if self._seen and self._seen.steps:
            self.strip.cursor = index

    def mark_of(self, result: Result) -> Mark | None:
        """What is tried has none."""
        return None

    def mark(self, result: Result, mark: Mark) -> None:
        """What is tried has none."""

    def show(self, seen: Seen) -> None:
        """Show a picture and what is known of it; files that are not open yet follow."""
        if seen == self._seen:
            return
        other = self._seen is None or seen.files != self._seen.files
        self._seen = seen
        if not seen.steps:
            self.strip.clear()
        self.strip.display = bool(seen.steps)
        self._draw()
        if other:
            self._open(seen.files)

    def _draw(self) -> None:
        seen = self._seen
        if seen is None or not self.is_attached:
            return
        pair = self.query_one(Pair)
        before, after = pair.query(Figure)
        alone = pair.lay_out(seen.after is not None) and seen.after is None
        before.label(f"Before ({seen.message})" if alone else "Before")
        before.show(*self._image(seen.picture, "…"))
        after.show(*self._image(seen.after, seen.message))
        after.label(seen.label)
        name = plain(seen.picture.name, "bold", 80).append(f"   {seen.place}", "muted")
        self.query_one(".picture-name", Static).update(name)
        if seen.steps:
            images = [self._image(step.result, "")[0] for step in seen.steps]
            self.strip.show(seen.steps, images)

    def _image(self, path: Path | None, message: str) -> tuple[Image | None, str]:
        if path is None:
            return None, message
        _, found = self._images.get(path, (None, "…"))
        return (None, found) if isinstance(found, str) else (found, "")

    @work(thread=True, exclusive=True, group="one-picture")
    def _open(self, files: Sequence[Path]) -> None:
        """Files that have not been opened, or have changed since."""
        worker = get_current_worker()
        for path in files:
            if worker.is_cancelled:
                return
            stamp = _stamp(path)
            if self._images.get(path, (None, ""))[0] == stamp:
                continue
            try:
                found: Image | str = open_thumbnail(path, _SIDE)
            except DiffinvError as error:
                found = error.neutral
            tell(self.app, self._take, path, stamp, found)

    def _take(self, path: Path, stamp: object, found: Image | str) -> None:
        self._images[path] = stamp, found
        self._images.move_to_end(path)
        if len(self._images) > _KEPT:
            self._images.popitem(last=False)
        self._draw()


def _stamp(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return "gone"
    return status.st_mtime_ns, status.st_size
