"""The window that asks for files or a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.strip import Strip
from textual.visual import Visual, visualize
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from diffinv.errors import DiffinvError

from ..bindings import PICKER
from ..dropped import dropped_paths
from ..folders import DIFFERENCES, FOLDERS, PICTURES, Item, Kind, counted, listed, nearest
from ..formatting import day, plain, short_path, tilde
from ..messages import tell
from ..widgets.drop_line import DropLine
from ..widgets.footer import KeyLine
from ..widgets.peek import Peek
from .base import Dialog
from .dialogs import Ask

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.css.styles import RulesMap
    from textual.events import Paste
    from textual.style import Style
    from textual.visual import RenderOptions

_AT_ONCE = 500
"""Lines that are listed at once: of more than these, some letters find the right ones."""


class FileLine(Visual):
    """A file or folder of the list: a mark, its name, what is in it, its day.

    The list need not draw it to know that it is one line high, and it is drawn without a table,
    which would take a millisecond a line.
    """

    def __init__(self, widget: Widget, item: Item, marked: bool, about: str) -> None:
        self._widget, self._about = widget, plain(about, "muted", 40)
        self._name = Text("✓ " if marked else "  ", "good")
        self._name.append_text(plain(item.label, "bold" if item.is_folder else ""))

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
        name = self._name.copy()
        name.truncate(max(1, width - len(self._about) - 1), overflow="ellipsis", pad=True)
        line = visualize(self._widget, name.append(" ").append_text(self._about))
        return line.render_strips(width, height, style, options)


class FindLine(DropLine):
    """A line for letters of a name; a space is none of them where it marks."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Leave the space to whoever wants it."""
        return key != "space" and super().check_consume_key(key, character)


class Picker(Dialog[list[Path] | None]):
    """Files or a folder of a kind, found by letters of their names. Dismissed with what was taken:
    with ``several`` whatever is marked, or what is highlighted."""

    HELP = """Letters find files and folders here. A path that is typed, such as `~/Pictures/`,
    leads there, and files that are dropped are taken. Letters that begin with a dot find hidden
    ones.

    **→** opens a folder and **←** leaves it, **Enter** takes what is highlighted, **Space** marks
    several.
    """
    BINDINGS: ClassVar[list[BindingType]] = PICKER

    def __init__(self, location: Path, title: str, kind: Kind, several: bool = False) -> None:
        super().__init__()
        self._location, self._title = nearest(location), title
        self._kind, self._several = kind, several
        self._items: list[Item] = []
        self._marked: dict[Path, None] = {}
        self._about: dict[Path, str] = {}
        """What is said of a file or folder: its day, or what is in it."""
        self._come_from: Path | None = None

    def compose(self) -> ComposeResult:
        """Title and folder, the line, list and pictures, the keys."""
        with Vertical(classes="dialog -picker"):
            yield Static(plain(self._title, "bold"), id="picker-title")
            yield Static(id="picker-where")
            yield FindLine(placeholder="Type to find", id="find")
            with Horizontal():
                yield OptionList(id="files")
                yield Peek(id="peek")
            yield Static(id="picker-keys", classes="hint")
        yield KeyLine()

    def on_mount(self) -> None:
        """Look into the folder."""
        super().on_mount()
        self.query_one(OptionList).can_focus = False
        self.query_one("#find").focus()
        self._go(self._location)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Marks where there can be several, a new folder where a folder is wanted; the text keys of
        the line stay its own."""
        if action == "mark":
            return self._several
        if action == "new_folder":
            return self._kind.folders
        if action == "leave_folder" and parameters:
            return not self.query_one("#find", Input).value
        return True

    # What is listed

    @on(Input.Changed, "#find")
    def _typed(self, event: Input.Changed) -> None:
        head, slash, letters = event.value.rpartition("/")
        if slash:
            typed = os.path.expanduser(head) or "/"
            self._follow(Path(os.path.normpath(self._location / typed)), letters)
        else:
            self._list(letters)

    @work(thread=True, exclusive=True, group="list")
    def _follow(self, folder: Path, letters: str) -> None:
        """A path that is typed leads there as soon as there is such a folder."""
        if folder.is_dir():
            tell(self.app, self._go, folder, letters)

    def _go(self, folder: Path, letters: str = "") -> None:
        if not self.is_attached:
            return
        self._location = folder
        self.query_one("#picker-where", Static).update(_end_of(folder, self.size.width))
        line = self.query_one("#find", Input)
        with line.prevent(Input.Changed):
            line.value = letters
        self._list(letters)

    @work(thread=True, exclusive=True, group="list")
    def _list(self, letters: str) -> None:
        worker, folder = get_current_worker(), self._location
        try:
            items, problem = listed(folder, self._kind, letters), ""
        except DiffinvError as error:
            items, problem = [], error.neutral
        if not letters:
            items = [*_this_and_above(folder, self._kind), *items]
        days = {item.path: _day(item.path) for item in items[:_AT_ONCE] if not item.is_folder}
        if not worker.is_cancelled:
            tell(self.app, self._show, folder, items, days, problem)
        for item in items[:_AT_ONCE]:
            if worker.is_cancelled:
                return
            if item.is_folder and item.label != "..":
                tell(self.app, self._show_count, folder, item, counted(item.path, self._kind))

    def _show(
        self, folder: Path, items: Sequence[Item], days: dict[Path, str], problem: str
    ) -> None:
        if not self.is_attached or folder != self._location:
            return
        self._about |= days
        self._items = list(items[:_AT_ONCE])
        options = [Option(self._line(item)) for item in self._items]
        rest = len(items) - len(self._items)
        said = problem or (f"{rest:,} more: type letters of the name" if rest else "")
        if said or not items:
            said = said or f"There is no {self._kind.name} with these letters."
            options.append(Option(plain(tilde(said), "muted", 300), disabled=True))
        files = self.query_one(OptionList)
        files.clear_options()
        files.add_options(options)
        self._highlight()
        self._say_keys()

    def _highlight(self) -> None:
        """The folder that was left, else the first thing that is in this one."""
        paths = [item.path for item in self._items]
        come_from, self._come_from = self._come_from, None
        first = next((i for i, item in enumerate(self._items) if item.label[0] != "."), 0)
        if self._kind.folders:
            first = 0
        found = paths.index(come_from) if come_from in paths else first
        self.query_one(OptionList).highlighted = found if self._items else None

    def _show_count(self, folder: Path, item: Item, count: str) -> None:
        self._about[item.path] = count
        if count and self.is_attached and folder == self._location and item in self._items:
            self._draw_again(self._items.index(item))

    def _line(self, item: Item) -> FileLine:
        files = self.query_one(OptionList)
        about = "" if item.label == ".." else self._about.get(item.path, "")
        return FileLine(files, item, item.path in self._marked, about)

    def _draw_again(self, index: int) -> None:
        files = self.query_one(OptionList)
        files.replace_option_prompt_at_index(index, self._line(self._items[index]))

    @on(OptionList.OptionHighlighted)
    def _look(self) -> None:
        if item := self._current:
            self.query_one(Peek).look(self._location if item.label == ".." else item.path)
            self._say_keys()

    def _say_keys(self) -> None:
        """What Enter does with what is highlighted."""
        item = self._current
        takes = "takes this folder" if self._kind.folders else "takes it"
        if item and item.is_folder and not self._is_wanted(item):
            takes = "opens it" if item.label != ".." else "goes up"
        if self._marked:
            takes = f"takes {len(self._marked)} marked"
        marks = "   Space marks" if self._several and not self._marked else ""
        said = f"Enter {takes}   → opens   ← goes up{marks}   Escape closes"
        self.query_one("#picker-keys", Static).update(said)

    # Keys

    @property
    def _current(self) -> Item | None:
        """The line under the cursor."""
        index = self.query_one(OptionList).highlighted
        return self._items[index] if index is not None and index < len(self._items) else None

    def _is_wanted(self, item: Item) -> bool:
        return item.label != ".." and item.is_folder == self._kind.folders

    def action_move(self, way: str) -> None:
        """Move the cursor in the list, from the line."""
        getattr(self.query_one(OptionList), f"action_{way}")()

    def action_take(self) -> None:
        """Take what is marked or highlighted; a folder is opened where files are wanted."""
        if self._marked:
            self.dismiss(list(self._marked))
        elif (item := self._current) and self._is_wanted(item):
            self.dismiss([item.path])
        else:
            self.action_enter_folder()

    def action_enter_folder(self) -> None:
        """Into the folder under the cursor."""
        item = self._current
        if item and item.label == "..":
            self.action_leave_folder()
        elif item and item.is_folder:
            self._go(item.path)

    def action_leave_folder(self, key: str = "") -> None:
        """To the folder above, with the cursor on this one."""
        self._come_from = self._location
        self._go(self._location.parent)

    def action_mark(self) -> None:
        """Mark or unmark a file, and go on to the next."""
        item = self._current
        if item is None or not self._is_wanted(item):
            return
        if item.path in self._marked:
            del self._marked[item.path]
        else:
            self._marked[item.path] = None
        self._draw_again(self._items.index(item))
        self.action_move("cursor_down")
        self._say_keys()

    def action_new_folder(self) -> None:
        """Make a folder in this one, and go there."""

        def make(name: str | None) -> None:
            if name:
                self._make(self._location / name)

        self.app.push_screen(Ask("A new folder", hint=f"In {short_path(self._location)}."), make)

    @work(thread=True, group="make")
    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            said = f"The folder {short_path(folder)} cannot be made ({reason})."
            tell(self.app, partial(self.app.notify, said, severity="error", markup=False))
            return
        tell(self.app, self._go, folder)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        """A click opens a folder and takes a file."""
        item = self._items[event.option_index]
        if item.is_folder and item.label != _THIS:
            self.action_enter_folder()
        else:
            self.action_take()

    def on_paste(self, event: Paste) -> None:
        """Files that are dropped are taken, those of a wanted kind."""
        dropped = dropped_paths(event.text)
        paths = [path for path in dropped if self._can_be_taken(path)]
        if paths:
            self.dismiss(paths if self._several else paths[:1])
        elif dropped and dropped[0].is_dir():
            self._go(dropped[0])

    def _can_be_taken(self, path: Path) -> bool:
        if self._kind.folders:
            return path.is_dir()
        return path.is_file() and self._kind.is_wanted(path.name)


_THIS = ". this folder"


def _this_and_above(folder: Path, kind: Kind) -> list[Item]:
    this = [Item(folder, True, _THIS)] if kind.folders else []
    return this if folder == folder.parent else [*this, Item(folder.parent, True, "..")]


def _day(path: Path) -> str:
    try:
        return day(datetime.fromtimestamp(path.stat().st_mtime).isoformat())
    except OSError:  # gone, or a link to nothing
        return ""


def _end_of(folder: Path, width: int) -> Text:
    """A folder; of a long path the end."""
    path = plain(short_path(folder), "muted")
    cut = len(path) - width + 12
    return Text("…", "muted") + path[cut:] if cut > 0 else path


def pick_pictures(location: Path, title: str, several: bool = True) -> Picker:
    """Asks for pictures."""
    return Picker(location, title, PICTURES, several)


def pick_differences(location: Path, title: str) -> Picker:
    """Asks for files of differences."""
    return Picker(location, title, DIFFERENCES, several=True)


def pick_folder(location: Path, title: str) -> Picker:
    """Asks for a folder, and shows what pictures there are."""
    return Picker(location, title, FOLDERS)
