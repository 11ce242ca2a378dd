"""One picture, as large as its place allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from ..blocks import Drawing, draw
from ..formatting import plain
from ..pictures import cell_pixels, fit

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.events import Resize


class Picture(Widget):
    """A picture in blocks, or by the terminal's own protocol where the app found one."""

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; align: center middle; color: $text-muted; }
    """

    def __init__(self, message: str = "", *, id: str | None = None, classes: str = "") -> None:
        super().__init__(id=id, classes=f"{classes} -empty")
        self._message = message
        self._image: Image | None = None
        self._drawn: tuple[Size, list[Strip]] | None = None
        self._own: Any = None

    def show(self, image: Image | None, message: str = "") -> None:
        """Show a picture, or a short text in its place."""
        if image is self._image and message == self._message:
            return
        self._image, self._message, self._drawn = image, message, None
        self.set_class(image is None, "-empty")
        if self.is_mounted:
            self._show_own()
        self.refresh()

    @property
    def image(self) -> Image | None:
        """The picture that is shown."""
        return self._image

    @property
    def pixels(self) -> tuple[int, int]:
        """How many pixels there is room for."""
        across, down = (1, 2) if self._own is None else cell_pixels()
        return max(1, self.size.width * across), max(1, self.size.height * down)

    def on_mount(self) -> None:
        """Show what was given before."""
        self._show_own()

    def on_resize(self, event: Resize) -> None:
        """Draw anew at the new size."""
        self._drawn = None
        self._show_own()

    def notify_style_update(self) -> None:
        """Another background."""
        super().notify_style_update()
        self._drawn = None

    def _show_own(self) -> None:
        """The picture by the terminal's protocol, in a child widget."""
        protocol = getattr(self.app, "picture_widget", None)
        if protocol is None:
            return
        if self._own is None:
            self._own = protocol()
            self.mount(self._own)
        self._own.display = self._image is not None
        if self._image is not None and self.size.area:
            columns, rows = fit(self._image.size, self.size.width, self.size.height)
            self._own.styles.width, self._own.styles.height = columns, rows
            self._own.image = self._image

    def render_line(self, y: int) -> Strip:
        """One line of half blocks."""
        if self._drawn is None or self._drawn[0] != self.size:
            self._drawn = (self.size, self._draw())
        lines = self._drawn[1]
        return lines[y] if y < len(lines) else Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> list[Strip]:
        width, height = self.size
        if not width or not height:
            return []
        if self._image is None or self._own is not None:
            return self._draw_message(width, height)
        columns, rows = fit(self._image.size, width, height)
        left, top = (width - columns) // 2, (height - rows) // 2
        if self.styles.align_horizontal == "left":
            left = top = 0
        if self.styles.align_vertical == "top":
            top = 0
        style = self.rich_style
        blank = Strip.blank(width, style)
        before = Segment(" " * left, style)
        after = Segment(" " * (width - columns - left), style)
        drawing = getattr(self.app, "drawing", Drawing())
        drawn = draw(self._image, columns, rows, drawing)
        lines = [Strip([before, *line, after], width) for line in drawn]
        return [blank] * top + lines + [blank] * (height - rows - top)

    def _draw_message(self, width: int, height: int) -> list[Strip]:
        text = plain("" if self._image else self._message)
        lines = list(text.wrap(self.app.console, max(1, width - 2)))[:height] if text else []
        blank = Strip.blank(width, self.rich_style)
        top = (height - len(lines)) // 2
        drawn = [self._centred(line.plain.strip(), width) for line in lines]
        return [blank] * top + drawn + [blank] * (height - top - len(drawn))

    def _centred(self, text: str, width: int) -> Strip:
        pad = " " * max(0, (width - cell_len(text)) // 2)
        return Strip([Segment(pad + text, self.rich_style)]).adjust_cell_length(
            width, self.rich_style
        )
