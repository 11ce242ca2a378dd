"""The library's differences as cards or as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from diffinv.difference import load
from diffinv.errors import DiffinvError
from diffinv.storage.store import Entry

from ..bindings import SHELF
from ..formatting import day, plain, tag_text, tilde
from ..pictures import difference_pictures
from ..words import say
from .pair_grid import Grid, Pair, PairGrid

if TYPE_CHECKING:
    from textual.events import Click

PAGE = 100
"""Entries that are asked for at once."""

_ARROW = " → "

View = Literal["cards", "table"]
Key = tuple[Path, str]


class DifferenceList(PairGrid):
    """A view on ``total`` entries, of which pages are filled in as they are asked for."""

    HELP = """The differences in your library.

    Arrows move, **Enter** opens one, **Space** marks several for Apply, tags or the trash.
    **v** changes between cards and table, **s** the order, **/** searches.
    """
    BINDINGS: ClassVar[list[BindingType]] = SHELF

    view: reactive[View] = reactive("cards", init=False)

    class Wanted(Message):
        """A page of entries is needed."""

        def __init__(self, offset: int) -> None:
            super().__init__()
            self.offset = offset

    class Marked(Message):
        """More or fewer entries are marked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.marked: dict[Path, str] = {}
        self._entries: dict[int, Entry] = {}
        self._asked: set[int] = set()
        self._most = 0

    @property
    def crowd(self) -> int:
        """The most there were: cards keep their size while a search narrows them down."""
        return self._most

    def fill(self, total: int, offset: int, entries: Sequence[Entry], fresh: bool) -> None:
        """Take a page of entries; ``fresh`` where it is of another search than the last one."""
        before = self.current
        if fresh:
            self._entries.clear()
            self._asked = {offset // PAGE}
        self._entries.update(enumerate(entries, offset))
        self._most = max(self._most, total)
        self.renew(total)
        if fresh and before is not None:
            self.go_to(before.path)

    @property
    def current(self) -> Entry | None:
        """The entry under the cursor, once its page is there."""
        return self._entries.get(self.cursor)

    @property
    def chosen(self) -> list[tuple[str, Path]]:
        """The (name, file) of what is marked, else of what is under the cursor."""
        if self.marked:
            return [(name, path) for path, name in self.marked.items()]
        return [(self.current.name, self.current.path)] if self.current else []

    @property
    def damaged(self) -> set[Path]:
        """The files that are known to be damaged."""
        return {entry.path for entry in self._entries.values() if entry.error}

    def entry(self, index: int) -> Entry | None:
        """An entry; where its page is missing, it is asked for."""
        found = self._entries.get(index)
        page = index // PAGE
        if found is None and 0 <= index < self.total and page not in self._asked:
            self._asked.add(page)
            self.post_message(self.Wanted(page * PAGE))
        return found

    def go_to(self, path: Path) -> None:
        """Put the cursor on a file, if its page is there."""
        for index, entry in self._entries.items():
            if entry.path == path:
                self.cursor = index

    # Marks

    def action_mark(self) -> None:
        """Mark or unmark the entry under the cursor and go on to the next."""
        if entry := self.current:
            self.toggle_mark(entry)
            self.set_cursor(self.cursor + 1)

    def toggle_mark(self, entry: Entry) -> None:
        """Mark or unmark an entry."""
        if self.marked.pop(entry.path, None) is None:
            self.marked[entry.path] = entry.name
        self.redraw()
        self.post_message(self.Marked())

    def clear_marks(self) -> None:
        """Unmark everything."""
        self.marked.clear()
        self.redraw()
        self.post_message(self.Marked())

    def on_click(self, event: Click) -> None:
        """With Control, a click marks."""
        index = self.index_at(event.x, event.y)
        entry = None if index is None else self.entry(index)
        if event.ctrl and entry is not None:
            self.toggle_mark(entry)

    # Cards and table

    def watch_view(self) -> None:
        """Cards become a table, or the reverse."""
        self.redraw()
        self.measure()
        self.reveal()

    @property
    def grid(self) -> Grid:
        """Cards, or lines one below the other."""
        return super().grid if self.view == "cards" else Grid(1, self.room, 0, 0, 1)

    def key_at(self, index: int) -> Key | None:
        """The file and what is in it."""
        entry = self.entry(index)
        return (entry.path, entry.info.hash_sha256) if entry and entry.info else None

    def _pair(self, index: int) -> Pair | None:
        return super()._pair(index) if self.view == "cards" else None

    def is_bad(self, index: int) -> bool:
        """Whether the file is damaged."""
        entry = self.entry(index)
        return bool(entry and entry.error)

    def stamp(self, index: int) -> object:
        """Whether the entry is there and marked."""
        entry = self._entries.get(index)
        return self.view, entry and entry.duplicate, entry is not None and entry.path in self.marked

    def open_pictures(self, key: Key) -> Pair:
        """A and A′ of a file."""
        try:
            pictures = difference_pictures(load(key[0]))
        except DiffinvError:
            return None, None
        return pictures.get("a"), pictures.get("a_prime")

    def title(self, index: int, back: Style) -> Text:
        """The mark and the name."""
        entry = self.entry(index)
        text = Text(no_wrap=True)
        if entry is None:
            return text
        if entry.path in self.marked:
            text.append("✓ ", self.part("mark", back))
        style = self.part("bad" if entry.error else "title", back)
        return text.append_text(plain(entry.name, style, 80))

    def about(self, index: int, back: Style) -> Text:
        """Backbone, day and tags."""
        entry, muted = self.entry(index), self.part("muted", back)
        text = Text(no_wrap=True)
        if entry is None:
            return text.append("…", muted)
        if entry.info is None:
            return text.append("damaged", self.part("bad", back))
        if self.grid.tile_width >= 34:
            text.append_text(plain(entry.info.backbone, muted, 20)).append(" · ", muted)
        text.append(day(entry.info.date), muted)
        if entry.duplicate:
            text.append("  duplicate", self.part("bad", back))
        if entry.info.tags:
            text.append("  ")
            text.append_text(plain(tag_text(entry.info.tags), self.part("tag", back), 60))
        return text

    def draw_row(self, index: int, cursor: bool) -> list[Strip] | None:
        """A line of the table."""
        if self.view == "cards":
            return None
        entry = self.entry(index)
        back = self.back(cursor) if cursor else self.rich_style
        text = Text(no_wrap=True)
        marked = entry is not None and entry.path in self.marked
        text.append("✓ " if marked else "  ", self.part("mark", back))
        widths = table_widths(self.room)
        for cell, width in zip(self._cells(entry, back, widths[3] - 2), widths, strict=True):
            if width:
                cell.truncate(width - 2, overflow="ellipsis", pad=True)
                text.append_text(cell).append("  ")
        line = self.text_line(text, self.room - 1, back)
        return [Strip([self.edge(cursor, back), *line])]

    def _cells(self, entry: Entry | None, back: Style, room: int) -> list[Text]:
        muted = self.part("muted", back)
        if entry is None:
            return [Text("…", muted), Text(), Text(), Text(), Text()]
        if entry.info is None:
            bad = self.part("bad", back)
            why = plain(tilde(entry.error or ""), bad, 200)
            return [plain(entry.name, bad, 80), Text("damaged", bad), Text(), why, Text()]
        info = entry.info
        return [
            plain(entry.name, self.part("title", back), 80),
            plain(info.backbone, muted, 40),
            Text(day(info.date), muted),
            plain(both_ends(change_of(entry), room), back, 300),
            self._tags(entry, back),
        ]

    def _tags(self, entry: Entry, back: Style) -> Text:
        said = Text("duplicate ", self.part("bad", back)) if entry.duplicate else Text()
        tags = entry.info.tags if entry.info else ()
        return said.append_text(plain(tag_text(tags), self.part("tag", back), 80))


def change_of(entry: Entry) -> str:
    """What a difference does, in the words of its captions, or those nearest to it where the
    captions say nothing."""
    info = entry.info
    if info is None:
        return ""
    if not info.captions:
        return info.description
    return info.change_in_words or _ARROW.join(what_differs(*info.captions[0]))


def what_differs(a: str, b: str) -> tuple[str, str]:
    """Two captions without the words with which both begin and end."""
    words = a.split(), b.split()
    shortest = min(map(len, words))
    start = next((i for i in range(shortest) if words[0][i] != words[1][i]), shortest)
    left = shortest - start
    end = next((i for i in range(left) if words[0][-1 - i] != words[1][-1 - i]), left)
    if not start and not end:
        return a, b
    before, after = "… " if start else "", " …" if end else ""
    a, b = (" ".join(w[start : len(w) - end]) for w in words)
    return f"{before}{a}{after}".strip(), f"{before}{b}{after}".strip()


def both_ends(change: str, room: int) -> str:
    """``from → to`` in so many cells: of too little room, both sides have some."""
    before, arrow, after = change.partition(_ARROW)
    if not arrow or cell_len(change) <= room:
        return change
    half = (room - len(_ARROW)) // 2
    first = max(half, room - len(_ARROW) - cell_len(after))
    before = _cut(before, first)
    return before + _ARROW + _cut(after, room - len(_ARROW) - cell_len(before))


def _cut(text: str, cells: int) -> str:
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"


def table_widths(width: int) -> tuple[int, int, int, int, int]:
    """The widths of name, model, date, change and tags; 0 where there is no room. What has changed
    has room before the day and the model have, which are beside the list, too."""
    left = width - 3
    tags = max(14, left // 6)
    if left < 52:
        return (left - 14 - tags, 0, 14, 0, tags) if left >= 40 else (left - 14, 0, 14, 0, 0)
    name, date, model = max(20, left // 4), 14 if left >= 84 else 0, 12 if left >= 98 else 0
    return name, model, date, left - name - model - date - tags, tags


def table_head(width: int) -> Text:
    """The names of the table's columns."""
    text = Text("   ", no_wrap=True)
    names = ("NAME", say("{Model}").upper(), "LEARNED", "FROM → TO", "TAGS")
    for name, cells in zip(names, table_widths(width), strict=True):
        text.append(name.ljust(cells) if cells else "")
    return text
