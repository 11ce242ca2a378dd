"""The line at the top of every screen: where one is, where one can go, what is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

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


class Place(Static):
    """One screen's name; a click goes there."""

    def __init__(self, mode: str, key: str, here: bool) -> None:
        title = Content.assemble((key, "dim"), " ", PLACES[mode])
        super().__init__(title, classes="-here" if here else "")
        self.mode = mode

    def on_click(self, event: Click) -> None:
        """Go there."""
        event.stop()
        self.app.switch_mode(self.mode)


class NavBar(Horizontal):
    """The app's name, the screens, the running job."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._jobs: list[Job] = []
        self._said: Content | str = ""

    def compose(self) -> ComposeResult:
        """The line from left to right."""
        yield Static(Content.assemble(("A", "$secondary"), "→", ("A′", "$primary")), id="brand")
        for number, mode in enumerate(PLACES, 1):
            yield Place(mode, str(number), here=mode == self._mode)
        yield Static("", id="running")

    def show_jobs(self, jobs: list[Job]) -> None:
        """Say what is running, or how many wait."""
        self._jobs = jobs
        running = self.query_one("#running", Static)
        said = _summary(jobs, running.content_size.width)
        if said != self._said:
            self._said = said
            running.update(said, layout=False)  # it has the rest of the line, whatever it says

    def on_resize(self) -> None:
        """The running job's title is cut to what room there is."""
        self.show_jobs(self._jobs)


def _summary(jobs: list[Job], width: int) -> Content | str:
    """What is running: its title is cut, its figure is not."""
    running = [job for job in jobs if job.state == "running"]
    waiting = sum(job.state == "queued" for job in jobs)
    if not running:
        return f"{waiting} waiting" if waiting else ""
    progress = running[0].progress
    share = f" {100 * progress.step / progress.total:.0f} %" if progress.total else ""
    more = f" +{len(running) - 1 + waiting}" if len(running) - 1 + waiting else ""
    title = plain(running[0].title, limit=24)
    title.truncate(max(0, width - len(f"● {share}{more}")), overflow="ellipsis")
    return Content.assemble(("● ", "$success"), title.plain, share, more)
