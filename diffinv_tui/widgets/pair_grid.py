"""Pairs of pictures side by side, any number of them. Only what is on screen is ever drawn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import work
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import get_current_worker

from ..bindings import TILES
from ..blocks import Drawing, draw
from ..messages import tell
from ..pictures import fit

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.events import Click, Resize

GAP = 2
_KEPT = 400
_KEPT_DRAWN = 80
_SMALLEST = 14
_SIDE = 128
"""Pixels a side of the pictures that are kept: at least two for each cell of a tile."""
_LARGEST = 40
"""Cells a picture on a tile is wide at most; larger ones are seen by opening them."""

Pair = tuple["Image | None", "Image | None"]
Line = list[Segment]


@dataclass(frozen=True)
class Grid:
    """How tiles stand. Widths and heights are in cells, ``row_height`` with the gap below it."""

    columns: int
    tile_width: int
    picture_columns: int
    picture_rows: int
    row_height: int


@dataclass(frozen=True)
class TileRow:
    """PairGrid side by side, put together."""

    tiles: list[list[Strip]]
    width: int
    style: Style
    lines: list[Strip]

    def is_of(self, tiles: list[list[Strip]], width: int, style: Style) -> bool:
        """Whether these very tiles would look the same."""
        same = len(tiles) == len(self.tiles) and all(map(is_, tiles, self.tiles))
        return same and (width, style) == (self.width, self.style)


@lru_cache(maxsize=16)
def grid_of(room: Size, tile_width: int, count: int, wanted: int = 0) -> Grid:
    """As large as ``count`` tiles can be and all be seen, each at least ``tile_width`` wide; or as
    wide as is ``wanted``."""
    if wanted:
        columns = max(1, (room.width + GAP) // (wanted + GAP))
        return _grid(room.width, columns, max(_LARGEST, 2 * (room.height - 3)))
    most = max(1, (room.width + GAP) // (tile_width + GAP))
    highest = max(2, 2 * (room.height - 3))
    for columns in range(1, most):
        grid = _grid(room.width, columns, min(_LARGEST, highest))
        if -(-count // columns) * grid.row_height <= room.height + 1:
            return grid
    return _grid(room.width, most, _LARGEST)


def _grid(room: int, columns: int, largest: int) -> Grid:
    width = max(9, (room - GAP * (columns - 1)) // columns)
    picture = max(2, (width - 6) // 2)
    if picture > largest:
        width, picture = 2 * largest + 6, largest
    rows = (picture + 1) // 2
    return Grid(columns, width, picture, rows, rows + 4)


class PairGrid(ScrollView, can_focus=True):
    """PairGrid of two pictures, a title and a line about them, in as many columns as there is room.

    A subclass says what is on tile ``index`` by :meth:`key_at`, :meth:`title`, :meth:`about` and,
    in a thread, :meth:`open_pictures`.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "pair-grid--tile",
        "pair-grid--cursor",
        "pair-grid--bar",
        "pair-grid--muted",
        "pair-grid--title",
        "pair-grid--tag",
        "pair-grid--bad",
        "pair-grid--mark",
    }
    BINDINGS: ClassVar[list[BindingType]] = TILES

    cursor: reactive[int] = reactive(0, init=False)

    class Moved(Message):
        """The cursor is on another tile, or the tile is another one."""

        def __init__(self, tiles: PairGrid) -> None:
            super().__init__()
            self.tiles = tiles

        @property
        def control(self) -> PairGrid:
            """The tiles."""
            return self.tiles

    class Opened(Moved):
        """The tile under the cursor was chosen."""

    def __init__(self, *, id: str | None = None, tile_width: int = 24) -> None:
        super().__init__(id=id)
        self.total = 0
        self._tile_width = tile_width
        self._pairs: OrderedDict[Hashable, Pair] = OrderedDict()
        self._missing: list[Hashable] = []
        self._drawn: OrderedDict[tuple[object, ...], list[Strip]] = OrderedDict()
        self._rows: dict[int, TileRow] = {}
        self._before: dict[int, TileRow] = {}
        self._row_height = 1

    # What subclasses say

    def key_at(self, index: int) -> Any:
        """What the pictures of a tile are opened by; None while it is not known."""
        raise NotImplementedError

    def open_pictures(self, key: Any) -> Pair:
        """The pictures of a tile. Runs in a thread."""
        raise NotImplementedError

    def title(self, index: int, back: Style) -> Text:
        """The line below the pictures."""
        raise NotImplementedError

    def about(self, index: int, back: Style) -> Text:
        """The line below the title."""
        raise NotImplementedError

    def is_bad(self, index: int) -> bool:
        """Whether there can be no pictures."""
        return False

    def stamp(self, index: int) -> object:
        """Whatever else a tile's looks depend on."""
        return None

    def draw_row(self, index: int, cursor: bool) -> list[Strip] | None:
        """The whole tile where it is not drawn with pictures."""
        return None

    # Contents

    def renew(self, total: int) -> None:
        """There are so many tiles now, and any of them may be another one."""
        self.total = total
        self._drawn.clear()
        self.measure()
        self.set_reactive(PairGrid.cursor, min(self.cursor, max(0, total - 1)))
        self.refresh()
        self.post_message(self.Moved(self))

    def redraw(self) -> None:
        """Something about the tiles has changed."""
        self._drawn.clear()
        self.refresh()

    # Geometry

    @property
    def room(self) -> int:
        """The width there is beside the scroll bar."""
        return self.scrollable_content_region.width

    @property
    def crowd(self) -> int:
        """The number of tiles that their size is chosen for."""
        return self.total

    @property
    def grid(self) -> Grid:
        """How the tiles stand, in the room there is."""
        size = self.scrollable_content_region.size
        return grid_of(size, self._tile_width, self.crowd, self._wanted)

    @property
    def _wanted(self) -> int:
        """The width of tiles that somebody chose; 0 where none was."""
        preferences = getattr(self.app, "preferences", None)
        return preferences.card_width if preferences else 0

    def measure(self) -> None:
        """Work out how long the whole is."""
        grid = self.grid
        rows = -(-self.total // grid.columns)
        below = 1 if grid.picture_rows and rows else 0  # the gap below the last tiles
        self.virtual_size = Size(self.room, rows * grid.row_height - below)

    def on_resize(self, event: Resize) -> None:
        """Other columns, other tiles."""
        self._drawn.clear()
        self.measure()
        self.reveal()

    def notify_style_update(self) -> None:
        """Another theme or focus: every tile is drawn anew."""
        super().notify_style_update()
        self._drawn.clear()

    def watch_cursor(self) -> None:
        """Keep the cursor on screen and say where it is."""
        self.reveal()
        self.refresh()
        self.post_message(self.Moved(self))

    def reveal(self) -> None:
        """Scroll to the cursor."""
        grid = self.grid
        row = self.cursor // grid.columns
        region = Region(0, row * grid.row_height, 1, grid.row_height)
        self.scroll_to_region(region, animate=False, force=True)

    # Keys and mouse

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.set_cursor(self.cursor + rows * self.grid.columns + columns)

    def action_page(self, pages: int) -> None:
        """Move the cursor by a screenful."""
        grid = self.grid
        rows = max(1, self.size.height // grid.row_height)
        self.set_cursor(self.cursor + pages * rows * grid.columns)

    def action_jump(self, index: int) -> None:
        """The first or, with -1, the last tile."""
        self.set_cursor(self.total - 1 if index < 0 else index)

    def set_cursor(self, index: int) -> None:
        """Put the cursor on a tile, or the nearest there is."""
        self.cursor = min(max(0, index), max(0, self.total - 1))

    def action_size(self, by: int) -> None:
        """Larger or smaller tiles, in all galleries: one fewer or more in a row; with 0 as they
        fit."""
        most = max(1, (self.room + GAP) // (_SMALLEST + GAP))
        columns = min(most, max(1, self.grid.columns - by))
        width = (self.room - GAP * (columns - 1)) // columns if by else 0
        self.app.prefer(card_width=width)  # type: ignore[attr-defined]
        self.redraw()
        self.measure()
        self.reveal()

    def action_open(self) -> None:
        """Open the tile under the cursor."""
        if self.total:
            self.post_message(self.Opened(self))

    def on_click(self, event: Click) -> None:
        """A click chooses, a second one opens."""
        index = self.index_at(event.x, event.y)
        if index is None:
            return
        self.cursor = index
        if event.chain == 2:
            self.action_open()

    def index_at(self, x: int, y: int) -> int | None:
        """The tile at a place on the screen."""
        grid = self.grid
        column = min(grid.columns - 1, x // (grid.tile_width + GAP))
        row = (y + self.scroll_offset.y) // grid.row_height
        index = row * grid.columns + column
        return index if 0 <= index < self.total else None

    # Drawing

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines of tiles; a row of the same tiles as before keeps its lines."""
        before, self._rows = self._rows, {}
        self._before = before
        self._row_height = self.grid.row_height
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line of a row of tiles."""
        row, line = divmod(y + self.scroll_offset.y, self._row_height)
        if row not in self._rows:
            self._rows[row] = self._row(row)
        return self._rows[row].lines[line]

    def _row(self, row: int) -> TileRow:
        grid, plain, width = self.grid, self.rich_style, self.size.width
        first = row * grid.columns
        tiles = [
            self._tile(index, grid) for index in range(first, min(first + grid.columns, self.total))
        ]
        before = self._before.get(row)
        if before and before.is_of(tiles, width, plain):
            return before
        gap = Strip([Segment(" " * GAP, plain)], GAP)
        lines = (
            [part for tile in tiles for part in (tile[y], gap)] for y in range(grid.row_height)
        )
        joined = [Strip.join(line).adjust_cell_length(width, plain) for line in lines]
        return TileRow(tiles, width, plain, joined)

    def _tile(self, index: int, grid: Grid) -> list[Strip]:
        cursor = index == self.cursor
        pair = self._pair(index)
        key = (index, grid, cursor, self.has_focus, pair is None, self.stamp(index))
        if key in self._drawn:
            self._drawn.move_to_end(key)
            return self._drawn[key]
        tile = self.draw_row(index, cursor) or self._draw(index, cursor, pair, grid)
        self._drawn[key] = tile
        if len(self._drawn) > _KEPT_DRAWN:
            self._drawn.popitem(last=False)
        return tile

    def back(self, cursor: bool) -> Style:
        """The style of a tile's background."""
        return self.get_component_rich_style("pair-grid--cursor" if cursor else "pair-grid--tile")

    def part(self, name: str, back: Style) -> Style:
        """The style of a part of a tile."""
        return back + self.get_component_rich_style(f"pair-grid--{name}", partial=True)

    def edge(self, cursor: bool, back: Style) -> Segment:
        """The tile's left edge, which shows the cursor without colours too."""
        mark = "▌" if cursor and self.has_focus else "│" if cursor else " "
        return Segment(mark, self.part("bar", back))

    def _draw(self, index: int, cursor: bool, pair: Pair | None, grid: Grid) -> list[Strip]:
        back, width = self.back(cursor), grid.tile_width
        lines = self._picture_lines(index, pair or (None, None), back, grid)
        texts = [
            self.text_line(text, width - 3, back)
            for text in (self.title(index, back), self.about(index, back))
        ]
        edge, blank = self.edge(cursor, back), Segment(" ", back)
        top = Strip([edge, Segment(" " * (width - 1), back)], width)
        gap = Strip.blank(width, self.rich_style)
        drawn = 2 * grid.picture_columns + 5
        side = Segment(" " * (width - drawn), back)
        pictures = [Strip([edge, blank, *line, side], width) for line in lines]
        words = [Strip([edge, blank, *line, blank], width) for line in texts]
        return [top, *pictures, *words, gap]

    def text_line(self, text: Text, width: int, back: Style) -> Line:
        """A text as one line of exactly ``width`` cells."""
        text.truncate(max(1, width), overflow="ellipsis")
        text.end = ""
        segments = text.render(self.app.console)
        painted = [Segment(s.text, back + s.style if s.style else back) for s in segments]
        return list(Strip(painted).adjust_cell_length(width, back))

    def _picture_lines(self, index: int, pair: Pair, back: Style, grid: Grid) -> list[Line]:
        bad = self.is_bad(index)
        left, right = (self._picture(image, back, bad, grid) for image in pair)
        arrow = self.part("mark", back)
        middle = grid.picture_rows // 2
        return [
            [*left[y], Segment(" → " if y == middle else "   ", arrow), *right[y]]
            for y in range(grid.picture_rows)
        ]

    def _picture(self, image: Image | None, back: Style, bad: bool, grid: Grid) -> list[Line]:
        columns, rows = grid.picture_columns, grid.picture_rows
        blank = [Segment(" " * columns, back)]
        if image is None:
            mark = Segment(("╳" if bad else "·").center(columns), self.part("muted", back))
            return [[mark] if y == rows // 2 else blank for y in range(rows)]
        wide, high = fit(image.size, columns, rows)
        left, top = (columns - wide) // 2, (rows - high) // 2
        before = Segment(" " * left, back)
        after = Segment(" " * (columns - wide - left), back)
        drawing = getattr(self.app, "drawing", Drawing())
        lines = [[before, *line, after] for line in draw(image, wide, high, drawing)]
        return [blank] * top + lines + [blank] * (rows - high - top)

    # Pictures

    def _pair(self, index: int) -> Pair | None:
        """A tile's pictures once they are there; they are looked for in a thread."""
        key = self.key_at(index)
        if key is None or self.is_bad(index):
            return None
        if key in self._pairs:
            self._pairs.move_to_end(key)
            return self._pairs[key]
        if key not in self._missing:
            self._missing.append(key)
            if len(self._missing) == 1:
                self._look_for_pictures()
        return None

    @work(thread=True, group="tiles")
    def _look_for_pictures(self) -> None:
        """The pictures that are wanted, the latest wish first."""
        worker, done = get_current_worker(), set()
        while not worker.is_cancelled:
            wanted = [key for key in self._missing if key not in done]
            if not wanted:
                break
            key = wanted[-1]
            pair = self.open_pictures(key)
            done.add(key)
            tell(self.app, self._take, key, (_small(pair[0]), _small(pair[1])))
        tell(self.app, self._check_missing)

    def _take(self, key: Hashable, pair: Pair) -> None:
        self._pairs[key] = pair
        if key in self._missing:
            self._missing.remove(key)
        if len(self._pairs) > _KEPT:
            self._pairs.popitem(last=False)
        self.refresh()

    def _check_missing(self) -> None:
        if self._missing and self.is_attached:
            self._look_for_pictures()


def _small(image: Image | None) -> Image | None:
    """A picture as a tile needs it, so that drawing it takes no time."""
    if image is None:
        return None
    image.thumbnail((_SIDE, _SIDE))
    return image.convert("RGB")
