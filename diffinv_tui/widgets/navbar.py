"""The line at the top of every screen: where one is, where one can go, what is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from diffinv.jobs.counting import MANY, count

from ..formatting import plain

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Click

    from diffinv.jobs.store import Job

PLACES = {
    "library": "Library",
    "new": "New",
    "jobs": "Jobs",
    "apply": "Apply",
    "models": "Models",
    "plugins": "Plugins",
    "settings": "Settings",
}


_TITLE = 8
"""So many characters of a running job's title are worth more than a longer figure."""
_LEAST = 3
"""So few of them say nothing."""


class Place(Static):
    """One screen's name; a click goes there."""

    def __init__(self, mode: str, key: str, here: bool) -> None:
        self._title = Content.assemble((key, "$text-muted"), " ", PLACES[mode])
        super().__init__(self._title, classes="-here" if here else "")
        self.mode = mode

    def mark(self, marks: Content) -> None:
        """Say something behind the name."""
        self.update(self._title + marks)

    def on_click(self, event: Click) -> None:
        """Go there."""
        event.stop()
        self.app.switch_mode(self.mode)


class Running(Widget):
    """The running job, in what room the places leave."""

    def __init__(self) -> None:
        super().__init__(id="running")
        self._jobs: list[Job] = []
        self._said: Content | str = ""

    def show(self, jobs: list[Job]) -> None:
        """Say what is running now; what is said already is not drawn again."""
        self._jobs = jobs
        if self._said != _summary(jobs, self.content_size.width):
            self.refresh()

    def render(self) -> Content | str:
        """Cut to the width there is now: marks behind a place's name take some of it."""
        self._said = _summary(self._jobs, self.content_size.width)
        return self._said


class NavBar(Horizontal):
    """The app's name, the screens, the running job."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._marks = Content("")

    def compose(self) -> ComposeResult:
        """The line from left to right."""
        yield Static(
            Content.assemble(("A", "$text-secondary"), "→", ("A′", "$text-primary")), id="brand"
        )
        for number, mode in enumerate(PLACES, 1):
            yield Place(mode, str(number), here=mode == self._mode)
        yield Running()

    def show_jobs(self, jobs: list[Job]) -> None:
        """Say what is running, what waits and what is interrupted."""
        marks = _marks(jobs)
        if marks != self._marks:
            self._marks = marks
            next(place for place in self.query(Place) if place.mode == "jobs").mark(marks)
        self.query_one(Running).show(jobs)


def _marks(jobs: list[Job]) -> Content:
    """How many jobs wait for their turn, and how many for somebody to go on with them."""
    waiting = sum(job.state == "queued" for job in jobs)
    stopped = sum(job.state == "interrupted" for job in jobs)
    found = [
        (f" ○{waiting}", "dim") if waiting else "",
        (f" ‖{stopped}", "$warning") if stopped else "",
    ]
    return Content.assemble(*found)


def _summary(jobs: list[Job], width: int) -> Content | str:
    """What is running: its title is cut, its figure is not."""
    running = [job for job in jobs if job.state == "running"]
    if not running:
        return ""
    job = running[0]
    figure = f"{100 * job.share:.0f} %"
    if job.kind in MANY and len(f"● {count(job)}") < width - _TITLE:
        figure = count(job)
    more = f" +{len(running) - 1}" if running[1:] else ""
    room = width - len(f"●  {figure}{more}")
    if room >= _LEAST:
        title = plain(job.title, limit=24)
        title.truncate(room, overflow="ellipsis")
        return Content.assemble(("● ", "$success"), f"{title.plain} {figure}{more}")
    if len(f"● {figure}") <= width:
        return Content.assemble(("● ", "$success"), figure)
    return figure if len(figure) <= width else "●"
