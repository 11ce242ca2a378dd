"""What every screen has: the line at the top, the footer, and news of the jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.color import Color
from textual.screen import ModalScreen, Screen, ScreenResultType
from textual.strip import Strip

from ..dimming import dimmed
from ..widgets.fetch_button import FetchButton
from ..widgets.footer import KeyLine
from ..widgets.navbar import NavBar
from ..widgets.pair_grid import PairGrid
from ..widgets.said import Said
from ..words import vocabulary

if TYPE_CHECKING:
    from textual.app import App, ComposeResult
    from textual.events import ScreenResume
    from textual.geometry import Region

    from diffinv.jobs.store import Job
    from diffinv.plugins.registry import Registry

    from ..services import Services


class Place(Screen[None]):
    """A screen one can go to by its number."""

    MODE: ClassVar[str] = ""
    AUTO_FOCUS = ""

    def __init__(self) -> None:
        super().__init__(classes=" ".join(size_classes(self.app)))
        # It is styled when it is mounted: the app need not read its stylesheet again for it.
        self._css_update_count = self.app._css_update_count

        self._registry: Registry | None = None
        self._fetched: set[int] | None = None
        """The jobs that had fetched models when they were last seen."""
        self._vocabulary = vocabulary()

    def compose(self) -> ComposeResult:
        """The frame."""
        yield NavBar(self.MODE)
        yield from self.body()
        yield KeyLine()

    def body(self) -> ComposeResult:
        """What stands between the line at the top and the footer."""
        yield from ()

    @property
    def diffinv(self) -> Services:
        """The app, as far as screens know it."""
        return cast("Services", self.app)

    def do(self, action: Callable[[], Any], then: Callable[[Any], Any] | None = None) -> None:
        """Do something slow in a thread; a DiffinvError becomes a message on screen."""
        self.diffinv.do(action, then)

    def on_mount(self) -> None:
        """Take in the plugins, once they are there."""
        self.diffinv.with_registry(self.take_plugins)

    def take_plugins(self, registry: Registry) -> None:
        """The plugins as they are now."""
        if registry is not self._registry:
            self._registry = registry
            self.plugins_changed(registry)

    def plugins_changed(self, registry: Registry) -> None:
        """Show what the plugins bring."""

    def on_screen_resume(self, event: ScreenResume) -> None:
        """Back again, as it was left: take in what has happened."""
        event.refresh_styles = False
        for tiles in self.query(PairGrid):
            tiles.measure()  # they may have been made larger elsewhere
        if self._registry is not None and self.diffinv.registry is not None:
            self.take_plugins(self.diffinv.registry)
        if self._vocabulary != vocabulary():
            self.say_again()
        self.take_jobs(self.diffinv.jobs)

    def say_again(self) -> None:
        """Everything that is shown, in the words of now."""
        self._vocabulary = vocabulary()
        for said in self.query(Said):
            said.say_again()

    def take_jobs(self, jobs: list[Job]) -> None:
        """The jobs as they are now."""
        self.query_one(NavBar).show_jobs(jobs)
        for button in self.query(FetchButton):
            button.show_jobs(jobs)
        fetched = {job.id for job in jobs if job.kind == "fetch" and job.is_finished}
        if self._fetched is not None and fetched - self._fetched:
            self.models_changed()
        self._fetched = fetched
        self.jobs_changed(jobs)

    def models_changed(self) -> None:
        """Models may be here that were not before."""

    @on(FetchButton.Wanted)
    def _fetch(self, event: FetchButton.Wanted) -> None:
        self.diffinv.fetch(event.missing)

    def is_showing(self, job: Job) -> bool:
        """Whether somebody sees here what becomes of a job."""
        return False

    def jobs_changed(self, jobs: list[Job]) -> None:
        """Show the jobs; most screens have no more to do than the line at the top does."""


class Window(ModalScreen[ScreenResultType]):
    """A screen over another one, that is styled once: when it is mounted."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.add_class(*size_classes(self.app), update=False)

    def on_screen_resume(self, event: ScreenResume) -> None:
        """It looks as it was left."""
        event.refresh_styles = False


class Dialog(Window[ScreenResultType]):
    """A window that leaves the page below it to be seen, dimmed, as it was when it was opened.

    To tint the page anew whenever something in the dialog changes would take longer than all else.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._page: list[Strip] = []

    def on_mount(self) -> None:
        """Take the page as it is."""
        below = self.app.screen_stack[-2]
        if isinstance(below, Dialog):
            self._page = below._page
        else:
            background = self.app.theme_variables["background"]
            drawn = below._compositor.render_strips(below.size)
            self._page = dimmed(drawn, Color.parse(background).rich_color.get_truecolor())

    def render_lines(self, crop: Region) -> list[Strip]:
        """The page, where no part of the dialog is."""
        blank = Strip.blank(crop.width, self.rich_style)
        lines = [self._page[y] if y < len(self._page) else blank for y in crop.line_range]
        return [
            line.crop(crop.x, crop.right).adjust_cell_length(crop.width, self.rich_style)
            for line in lines
        ]


def size_classes(app: App[Any]) -> list[str]:
    """The classes that screens of the app's size have, for a new one to begin with."""
    classes = []
    for cells, breakpoints in (
        (app.size.width, app.HORIZONTAL_BREAKPOINTS),
        (app.size.height, app.VERTICAL_BREAKPOINTS),
    ):
        classes.append(max(point for point in breakpoints or [] if point[0] <= cells)[1])
    return classes
