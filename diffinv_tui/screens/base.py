"""What every screen has: the line at the top, the footer, and news of the jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.containers import Container
from textual.screen import Screen

from ..widgets.footer import KeyLine
from ..widgets.navbar import NavBar

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.jobs.store import Job

    from ..app import DiffinvApp


class Place(Screen[None]):
    """A screen one can go to by its number."""

    MODE: ClassVar[str] = ""
    AUTO_FOCUS = ""

    def compose(self) -> ComposeResult:
        """The frame."""
        yield NavBar(self.MODE)
        with Container(classes="body"):
            yield from self.body()
        yield KeyLine()

    def body(self) -> ComposeResult:
        """What stands between the line at the top and the footer."""
        yield from ()

    @property
    def diffinv(self) -> DiffinvApp:
        """The app."""
        return cast("DiffinvApp", self.app)

    def do(self, action: Callable[[], Any], then: Callable[[Any], Any] | None = None) -> None:
        """Do something slow in a thread; a DiffinvError becomes a message on screen."""
        self.diffinv.do(action, then)

    def on_screen_resume(self) -> None:
        """Back again: take in what has happened."""
        self.take_jobs(self.diffinv.jobs)

    def take_jobs(self, jobs: list[Job]) -> None:
        """The jobs as they are now."""
        self.query_one(NavBar).show_jobs(jobs)
        self.jobs_changed(jobs)

    def jobs_changed(self, jobs: list[Job]) -> None:
        """Show the jobs; most screens have no more to do than the line at the top does."""
