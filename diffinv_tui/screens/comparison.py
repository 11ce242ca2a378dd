"""A result over the whole screen, compared with what it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rich.text import Text
from textual import work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from diffinv.errors import DiffinvError

from ..bindings import COMPARISON
from ..comparing import Look, seen
from ..formatting import plain, short_path
from ..marking import SIGNS
from ..messages import tell
from ..pictures import open_large
from ..viewer import open_in_viewer
from ..widgets.difference_view import Figure
from ..widgets.footer import KeyLine
from ..widgets.picture import Picture
from ..widgets.results_grid import Result, copy_path
from .base import Window

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import App, ComposeResult
    from textual.events import Resize

    from diffinv.jobs.marks import Mark

_LOOK_EVERY = 0.5
_NAMES = ("{Original}", "{Result}")
_WHOLE_SIDE = 1_600
"""Pixels a side of a picture that is seen whole: with all of them, keys would take a while."""


class Gallery(Protocol):
    """Results, one of which is under a cursor."""

    @property
    def cursor(self) -> int:
        """Where the cursor is."""

    @property
    def results(self) -> list[Result]:
        """Those that are shown."""

    def set_cursor(self, index: int) -> None:
        """Put the cursor on a result."""

    def mark_of(self, result: Result) -> Mark | None:
        """A result's mark."""

    def mark(self, result: Result, mark: Mark) -> None:
        """Mark a result, or take this mark away."""


class Comparison(Window[int]):
    """B and B′ as large as the screen allows, and their neighbours. Dismissed with the index."""

    BINDINGS: ClassVar[list[BindingType]] = COMPARISON
    HELP = """The picture **{original}** and **{result}**.

    - **Space** shows one of them in the other's place, again and again.
    - **w** puts a line between them, what was left and what is right of it; left and right move it.
    - **z** shows the pictures' own pixels, one for each that the terminal can draw; arrows move,
      with Shift while there is a line.
    - **s** has both side by side again, **o** opens the result in the system's viewer, **y** copies
      its path.
    - **k** keeps the result, **x** rejects it, an asterisk stars it.
    - **n** and **p** go to the next result and the one before, and so do left and right where they
      move nothing.
    """

    def __init__(self, wall: Gallery) -> None:
        super().__init__()
        self._wall, self._index = wall, wall.cursor
        self._shown: Result | None = None
        self._look = Look()
        self._images: list[Image | None] = [None, None]
        self._whole: list[Image | None] = [None, None]
        self._messages = ["…", "…"]

    def compose(self) -> ComposeResult:
        """Both pictures and what they are."""
        with Vertical(id="large"):
            with Horizontal(classes="figures"):
                yield Figure("{Original}", "a", "…")
                yield Figure("{Result}", "prime", "…")
            yield Static(id="large-about")
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what was asked for, and what becomes of it."""
        self._show_result()
        self.set_interval(_LOOK_EVERY, self._follow)

    def on_resize(self, event: Resize) -> None:
        """There is room for more pixels, or for fewer."""
        self.call_after_refresh(self._draw)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There may be no neighbour, and nothing to compare."""
        if action == "step" and isinstance(parameters[0], int):
            return 0 <= self._index + parameters[0] < len(self._wall.results)
        return action != "mark" or self._result.folder is not None

    def action_step(self, by: int) -> None:
        """To a neighbour."""
        if 0 <= self._index + by < len(self._wall.results):
            self._index += by
            self._show_result()
            self.refresh_bindings()

    def action_arrow(self, x: int, y: int) -> None:
        """Move the line, or what is seen, or to a neighbour."""
        if self._look.way == "wipe" and x:
            self._to(self._look.moved_line(x))
        elif self._look.zoom:
            self.action_pan(x, y)
        elif x:
            self.action_step(x)

    def action_pan(self, x: int, y: int) -> None:
        """See another part."""
        image = self._images[0]
        if image and self._look.zoom:
            self._to(self._look.panned((x, y), image.size, self._room))

    def action_blink(self) -> None:
        """One in the other's place."""
        self._to(self._look.blinked())

    def action_wipe(self) -> None:
        """A line between them."""
        self._to(self._look.wiped())

    def action_side(self) -> None:
        """Side by side, both whole."""
        self._to(Look())

    def action_zoom(self) -> None:
        """The pictures' own pixels."""
        self._to(self._look.zoomed())

    def action_view(self) -> None:
        """Open B′, or B as long as there is none, in the system's viewer."""
        try:
            open_in_viewer(self._result.file)
        except DiffinvError as error:
            self.app.notify(error.neutral, severity="warning", markup=False)

    def action_mark(self, mark: Mark) -> None:
        """Keep, reject or star what is shown."""
        self._wall.mark(self._result, mark)
        self._say()

    def action_copy(self) -> None:
        """Put the path onto the clipboard."""
        copy_path(self.app, self._result.file)

    def action_dismiss_here(self) -> None:
        """Back, to the result that is shown."""
        self.dismiss(self._index)

    def _follow(self) -> None:
        if self._index < len(self._wall.results) and self._result != self._shown:
            self._show_result()

    @property
    def _result(self) -> Result:
        return self._wall.results[self._index]

    def _show_result(self) -> None:
        result = self._shown = self._result
        self._images, self._whole = [None, None], [None, None]
        self._messages = ["…", "…" if result.after else result.about or "not there yet"]
        self._draw()
        self._open(result)

    @work(thread=True, exclusive=True)
    def _open(self, result: Result) -> None:
        size = None
        for index, path in reversed(list(enumerate((result.before, result.after)))):
            if path is None:
                continue
            try:
                image = _opened(path, size)
            except DiffinvError as error:
                tell(self.app, self._take, result, index, None, None, error.neutral)
                continue
            size, whole = image.size, image.copy()
            whole.thumbnail((_WHOLE_SIDE, _WHOLE_SIDE))
            tell(self.app, self._take, result, index, image, whole, "…")

    def _take(
        self, result: Result, index: int, image: Image | None, whole: Image | None, message: str
    ) -> None:
        if self.is_attached and result is self._shown:
            self._images[index], self._whole[index] = image, whole
            self._messages[index] = message
            self._draw()

    def _to(self, look: Look) -> None:
        was, self._look = self._look, look
        if was.way != look.way:
            self._lay_out()
            self.call_after_refresh(self._draw)  # there is more room, or less
        else:
            self._draw()

    def _lay_out(self) -> None:
        list(self.query(Figure))[0].display = self._look.way == "side"

    @property
    def _room(self) -> tuple[int, int]:
        """How many pixels the picture at the right can show."""
        return list(self.query(Picture))[1].pixels

    def _draw(self) -> None:
        if not self.is_attached:
            return
        before, after = self._images if self._look.zoom else self._whole
        figures = list(self.query(Figure))
        images = [before, after] if before is None else seen(self._look, before, after, self._room)
        for figure, image, message in zip(
            figures[-len(images) :], images, self._messages[-len(images) :], strict=True
        ):
            figure.show(image, message)
        figures[1].label(self._label())
        self._say()

    def _label(self) -> str:
        ways = {"side": _NAMES[1], "wipe": " │ ".join(_NAMES), "blink": _NAMES[self._look.after]}
        return ways[self._look.way] + ("   100 %" if self._look.zoom else "")

    def _say(self) -> None:
        result = self._result
        mark = self._wall.mark_of(result)
        text = Text(f"{SIGNS[mark]} " if mark else "", "bold")
        text.append_text(plain(short_path(result.file)))
        image = self._images[1] or self._images[0]
        size = f"{image.width} × {image.height}" if image else ""
        for part in (size, result.about, f"{self._index + 1} of {len(self._wall.results)}"):
            text.append("   ").append_text(plain(part, "muted", 200))
        self.query_one("#large-about", Static).update(text)


def _opened(path: Path, size: tuple[int, int] | None) -> Image:
    """A picture, drawn to the size of the one it is compared with."""
    from PIL.Image import Resampling

    image = open_large(path)
    return image if size in (None, image.size) else image.resize(size, Resampling.LANCZOS)


def enlarge(wall: Gallery, app: App[Any]) -> None:
    """Show the result under a gallery's cursor large; the cursor follows."""

    def back(index: int | None) -> None:
        wall.set_cursor(index or 0)

    if wall.results:
        app.push_screen(Comparison(wall), back)
