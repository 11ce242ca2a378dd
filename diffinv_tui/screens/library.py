"""The library: everything that was learned."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import ContentSwitcher, Input, Static

from diffinv.errors import DiffinvError
from diffinv.jobs.counting import LEARN
from diffinv.system.text import path_text, plural

from ..bindings import LIBRARY
from ..formatting import parse_tags, plain, short_path
from ..messages import tell
from ..widgets.difference_list import PAGE, DifferenceList, View, table_head
from ..widgets.difference_view import DifferenceView
from ..widgets.pair_grid import PairGrid
from ..widgets.welcome import Welcome
from .base import Place
from .dialogs import Ask, Choose, Detail
from .pickers import pick_differences, pick_folder

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import ScreenResume
    from textual.timer import Timer

    from diffinv.jobs.store import Job
    from diffinv.storage.store import Entry, Library, Sort

_LOOK_EVERY = 2.0
_REST = 0.06
SORTS: dict[Sort, str] = {
    "newest": "newest first",
    "oldest": "oldest first",
    "name": "by name",
    "backbone": "by model",
}


_OF_ONE = ("apply", "tag", "rename", "export")
"""What is done with a difference that can be read."""


class LibraryScreen(Place):
    """Cards or a table on the left, everything about one difference on the right."""

    MODE = "library"
    BINDINGS: ClassVar[list[BindingType]] = LIBRARY

    def __init__(self) -> None:
        super().__init__()
        self._query = ""
        self._searching = self._again = self._look_again = False
        self._seen: object = None
        self._done: set[int] = set()
        self._following: Timer | None = None
        self._shown: Entry | None = None
        self._come: Path | None = None

    def body(self) -> ComposeResult:
        """Search, shelf, detail."""
        with Horizontal(id="library"):
            with Vertical(id="library-main"):
                with Horizontal(id="library-bar"):
                    yield Input(placeholder="Search: snow tag:winter model:sdxl", id="search")
                    yield Static("", id="library-count")
                yield Static("", id="table-head")
                with ContentSwitcher(initial="looking"):
                    yield Static("Looking…", id="looking", classes="notice")
                    yield Static("", id="nothing", classes="notice")
                    yield Static("", id="trouble", classes="notice -bad")
                    yield Welcome(id="welcome")
                    yield DifferenceList(id="shelf")
            yield DifferenceView(id="detail")

    def on_mount(self) -> None:
        """Look for what there is."""
        self.shelf.view = cast("View", self.diffinv.preferences.view)
        self._show_pane()
        self._show_head()
        self.search()
        self.set_interval(_LOOK_EVERY, self._look_outside)

    def on_screen_resume(self, event: ScreenResume) -> None:
        """Cards or a table, as the settings say by now."""
        super().on_screen_resume(event)
        if self.is_mounted and self.shelf.view != self.diffinv.preferences.view:
            self._use_view(self.diffinv.preferences.view)

    def say_again(self) -> None:
        """The detail and the table's head, too."""
        super().say_again()
        self.query_one("#detail", DifferenceView).say_again()
        self._show_head()

    @property
    def shelf(self) -> DifferenceList:
        """The cards."""
        return self.query_one(DifferenceList)

    @property
    def sort(self) -> Sort:
        """The order that is chosen."""
        return cast("Sort", self.diffinv.preferences.sort)

    # Searching

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._query = event.value
        self.search(look=False)

    @on(Input.Submitted, "#search")
    def _to_results(self) -> None:
        self.shelf.focus()

    def search(self, look: bool = True) -> None:
        """Find what fits the line, from the first page on; one search at a time.

        With ``look`` changes from outside are taken in before, which may take a moment.
        """
        self._again = self._searching
        self._look_again = self._look_again or look
        if not self._searching:
            self._searching = True
            look, self._look_again = self._look_again, False
            self._find(self._query, self.sort, look)

    @work(thread=True, group="search")
    def _find(self, query: str, sort: Sort, look: bool) -> None:
        library = self.diffinv.library
        try:
            seen = library.notice() if look else self._seen
            entries, count = library.page(query, sort, PAGE, look=False)
            if not library.folder.exists() and (self.shelf.crowd or self._was_there()):
                raise DiffinvError(
                    f"The library's folder {path_text(library.folder)} is gone: mount its drive or "
                    "put it back, and it is shown again."
                )
            empty = not count and (not query or not library.count())
        except DiffinvError as error:
            tell(self.app, self._cannot_search, error.neutral)
            return
        tell(self.app, self._show, count, entries, empty, seen)

    def _was_there(self) -> bool:
        """Whether jobs have put something into the library, which therefore is not a new one."""
        folder = self.diffinv.library.folder
        return any(
            job.difference is not None and job.difference[1].parent == folder
            for job in self.diffinv.jobs
        )

    def _is_overtaken(self) -> bool:
        """A search has ended: whether another one is wanted by now, which is then begun."""
        self._searching, again = False, self._again
        if again:
            self.search(look=False)
        return again

    def _cannot_search(self, error: str) -> None:
        if not self._is_overtaken():
            self._fail(error)

    def _fail(self, error: str) -> None:
        self.query_one("#trouble", Static).update(plain(error))
        self._switch("trouble")

    def _show(self, count: int, entries: Sequence[Entry], empty: bool, seen: object) -> None:
        self._seen = seen
        if self._is_overtaken():
            return
        self.shelf.fill(count, 0, entries, fresh=True)
        if self._come is not None:
            self.shelf.go_to(self._come)
            self._come = None
        self._show_count()
        if empty:
            self._switch("welcome")
            self.diffinv.with_example(self.query_one(Welcome).show_example)
        elif not count:
            text = plain(f"Nothing fits “{self._query}”.", limit=200)
            text.append("\n\nEscape clears the search.", "muted")
            self.query_one("#nothing", Static).update(text)
            self._switch("nothing")
        else:
            self._switch("shelf")

    def _switch(self, name: str) -> None:
        switcher = self.query_one(ContentSwitcher)
        if switcher.current == name:
            return
        focus_shelf = not isinstance(self.focused, Input)
        switcher.current = name
        self.set_class(name == "welcome", "-empty")
        self.refresh_bindings()
        self._show_head()
        if name == "shelf" and focus_shelf:
            self.shelf.focus()
        elif name == "welcome":
            self.query_one("#demo").focus()

    def _show_count(self) -> None:
        marked = len(self.shelf.marked)
        count = plural(self.shelf.total, "difference")
        text = f"{marked} marked of {self.shelf.total:,}" if marked else count
        self.query_one("#library-count", Static).update(f"{text} · {SORTS[self.sort]}")

    @on(DifferenceList.Wanted)
    def _wanted(self, event: DifferenceList.Wanted) -> None:
        self._find_page(self._query, self.sort, event.offset)

    @work(thread=True, group="page")
    def _find_page(self, query: str, sort: Sort, offset: int) -> None:
        library = self.diffinv.library
        try:
            entries, _ = library.page(query, sort, PAGE, offset, look=False)
        except DiffinvError as error:
            tell(self.app, self._fail, error.neutral)
            return
        tell(self.app, self._take_page, query, sort, offset, entries)

    def _take_page(self, query: str, sort: Sort, offset: int, entries: Sequence[Entry]) -> None:
        if (query, sort) == (self._query, self.sort):
            self.shelf.fill(self.shelf.total, offset, entries, fresh=False)

    def _look_outside(self) -> None:
        """Notice what other programs do in the library's folder."""
        if self.is_current:
            self._look()

    @work(thread=True, exclusive=True, group="look")
    def _look(self) -> None:
        with contextlib.suppress(DiffinvError):  # which the search that it leads to would tell
            if self.diffinv.library.notice() == self._seen:
                return
        tell(self.app, self.search)

    def jobs_changed(self, jobs: list[Job]) -> None:
        """A job that has ended may have brought something."""
        done = {job.id for job in jobs if job.state == "done" and job.kind in LEARN}
        if done - self._done and self.is_mounted:
            self.search()
        self._done = done

    # Moving about

    @on(PairGrid.Moved, "#shelf")
    def _moved(self) -> None:
        """The detail follows once the cursor rests: it takes longer to draw than the shelf."""
        if self._following is not None:
            self._following.stop()
        self._following = self.set_timer(_REST, self._show_detail)

    def _show_detail(self) -> None:
        self.query_one("#detail", DifferenceView).show(self.shelf.current)
        self.refresh_bindings()

    @on(PairGrid.Opened, "#shelf")
    def _opened(self) -> None:
        if entry := self.shelf.current:
            self.open(entry)

    def open(self, entry: Entry) -> None:
        """Show a difference whole; the cursor goes there, too, if its page is there."""
        self.shelf.go_to(entry.path)
        detail = Detail(entry, neighbour=self._step)
        self.app.push_screen(detail, partial(self._after_detail, detail))

    def _step(self, by: int) -> Entry | None:
        """To a neighbour of the difference under the cursor, if its page is there."""
        before = self.shelf.cursor
        self.shelf.set_cursor(before + by)
        self.shelf.entry(self.shelf.cursor)
        if self.shelf.current is None:
            self.shelf.set_cursor(before)
        return self.shelf.current

    def _after_detail(self, detail: Detail, wish: str | None) -> None:
        """Do what was wished of the difference that was shown, whatever is marked."""
        if wish:
            self._shown = detail.entry
            getattr(self, f"action_{wish}")()
            self._shown = None

    @property
    def _several(self) -> bool:
        return bool(self.shelf.marked) and self._shown is None

    @property
    def _current(self) -> Entry | None:
        return self._shown or self.shelf.current

    @property
    def _chosen(self) -> list[tuple[str, Path]]:
        return [(self._shown.name, self._shown.path)] if self._shown else self.shelf.chosen

    @on(DifferenceList.Marked)
    def _marked(self) -> None:
        self._show_count()

    @on(Welcome.Chosen)
    def _begin(self, event: Welcome.Chosen) -> None:
        if event.way == "new":
            self.diffinv.action_go("new")
        else:
            getattr(self, f"action_{event.way}")()

    def action_search(self) -> None:
        """To the search line."""
        self.query_one("#search").focus()

    def action_leave(self) -> None:
        """From the search line to the shelf; then clear search and marks."""
        line = self.query_one("#search", Input)
        if self.shelf.marked and not line.has_focus:
            self.shelf.clear_marks()
        else:
            line.value = ""
        if self.query_one(ContentSwitcher).current != "welcome":
            self.shelf.focus()

    def on_resize(self) -> None:
        """The table's head follows the width."""
        self.call_after_refresh(self._show_head)

    def _show_head(self) -> None:
        head = self.query_one("#table-head", Static)
        is_table = self.shelf.view == "table"
        head.display = is_table and self.query_one(ContentSwitcher).current == "shelf"
        head.update(table_head(self.shelf.size.width or 60))

    def action_view(self) -> None:
        """Cards become a table, or the reverse."""
        self.diffinv.prefer(view="table" if self.shelf.view == "cards" else "cards")
        self._use_view(self.diffinv.preferences.view)

    def _use_view(self, view: str) -> None:
        self.shelf.view = cast("View", view)
        self._show_head()
        self.call_after_refresh(self._show_head)

    def action_detail(self) -> None:
        """Hide the details beside the differences, or show them again."""
        self.diffinv.prefer(detail=not self.diffinv.preferences.detail)
        self._show_pane()

    def _show_pane(self) -> None:
        self.set_class(not self.diffinv.preferences.detail, "-no-detail")

    def action_sort(self) -> None:
        """The next order."""
        sorts = list(SORTS)
        self.diffinv.prefer(sort=sorts[(sorts.index(self.sort) + 1) % len(sorts)])
        self.search()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer offers nothing that needs a difference where there is none."""
        if not self.is_mounted:
            return True
        if self.query_one(ContentSwitcher).current == "trouble":
            return action not in (*_OF_ONE, "trash", "restore", "view", "sort", "filter")
        if action in _OF_ONE and not self._several and self._current and self._current.error:
            return False
        if action in (*_OF_ONE, "trash", "view", "sort", "filter", "search"):
            return not self.has_class("-empty")
        if action == "demo":
            return self.has_class("-empty")
        return True

    # Doing things

    def action_demo(self) -> None:
        """Run the demo."""
        self.diffinv.start_demo()

    def action_apply(self) -> None:
        """Take what is chosen to the Apply screen."""
        if chosen := [one for one in self._chosen if one[1] not in self.shelf.damaged]:
            if self._several:
                self.shelf.clear_marks()
            self.diffinv.apply_these(chosen)

    def action_rename(self) -> None:
        """Another name."""
        if not (entry := self._current):
            return

        def rename(name: str | None) -> None:
            if name and name != entry.name:
                self._change(lambda: self.diffinv.library.rename(entry.path, name))

        about = entry.name, entry.path
        self.app.push_screen(Ask("Rename", entry.name, about=about), rename)

    def action_tag(self) -> None:
        """Other tags: those of one difference, or tags added to all that are marked."""
        chosen, entry, several = self._chosen, self._current, self._several
        if not chosen or entry is None:
            return
        before = () if several or entry.info is None else entry.info.tags

        def tag(text: str | None) -> None:
            if text is None:
                return
            tags = parse_tags(text)
            removed = [] if several else [t for t in before if t not in tags]

            def change() -> None:
                for _, path in chosen:
                    self.diffinv.library.set_tags(path, add=tags, remove=removed)

            self._change(change)

        question = f"Add tags to {plural(len(chosen), 'difference')}" if several else "Tags"
        about = named(chosen), chosen[0][1]
        hint = "Separate them with spaces or commas. Search for them with tag:NAME."
        self.app.push_screen(Ask(question, " ".join(before), hint, about), tag)

    def action_filter(self) -> None:
        """Choose one of the tags there are."""
        self.do(self.diffinv.library.tags, self._choose_tag)

    def _choose_tag(self, tags: list[tuple[str, int]]) -> None:
        def search(index: int | None) -> None:
            if index is not None:
                self.query_one("#search", Input).value = f"tag:{tags[index][0]}"

        choices = [(tag, plural(count, "difference")) for tag, count in tags]
        empty = "There are no tags yet; t gives some to a difference."
        self.app.push_screen(Choose("Show only the tag", choices, empty), search)

    def action_trash(self) -> None:
        """To the trash, from where it can come back."""
        chosen = self._chosen
        if not chosen:
            return

        def trash() -> None:
            for _, path in chosen:
                self.diffinv.library.trash(path)

        if self._several:
            self.shelf.clear_marks()
        said = f"{plain(chosen[0][0], limit=60)} is in the trash; u brings it back."
        if len(chosen) > 1:
            said = f"{len(chosen)} differences are in the trash; each u brings one back."
        self._change(trash, said)

    def action_restore(self) -> None:
        """Undo the last removal."""
        self._change(self.diffinv.library.restore, then=self._go_to)

    def action_import(self) -> None:
        """Copy a file into the library."""

        def take(paths: list[Path] | None) -> None:
            def bring() -> Entry:
                return [_bring(self.diffinv.library, path) for path in paths or ()][-1]

            if paths:
                self._change(bring, then=self._go_to)

        self.app.push_screen(pick_differences(Path.cwd(), "Import differences"), take)

    def action_export(self) -> None:
        """Copy files out of the library."""
        chosen = self._chosen
        if not chosen:
            return

        def export(folders: list[Path] | None) -> None:
            if not folders:
                return
            folder = folders[0]

            def copy() -> None:
                for _, path in chosen:
                    self.diffinv.library.export(path, folder)

            self._change(copy, f"Copied to {short_path(folder)}.")

        title = f"Export {named(chosen)} to a folder"
        self.app.push_screen(pick_folder(Path.cwd(), title), export)

    def _go_to(self, entry: Entry) -> None:
        """Put the cursor on what has just come, once it is found."""
        self._come = entry.path

    def _change(
        self,
        action: Callable[[], Any],
        said: str = "",
        then: Callable[[Any], None] = lambda _result: None,
    ) -> None:
        def after(result: Any) -> None:
            if said:
                self.app.notify(said, markup=False)
            then(result)
            self.search()

        self.do(action, after)


def named(chosen: Sequence[tuple[str, Path]]) -> str:
    """One difference by its name, several by their number and the first names."""
    names = [plain(name, limit=40).plain for name, _ in chosen]
    if len(names) == 1:
        return names[0]
    more = ", …" if len(names) > 3 else ""
    return f"{len(names)} differences: {', '.join(names[:3])}{more}"


def _bring(library: Library, file: Path) -> Entry:
    from diffinv.storage.importing import import_file  # with numpy: not before it is needed

    return import_file(library, file)
