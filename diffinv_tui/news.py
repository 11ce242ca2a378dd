"""What has become of jobs: said when it happens, or at the next start of the app, and once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.notifications import SeverityLevel

from diffinv.jobs.counting import so_far
from diffinv.system.text import plural

from .formatting import plain
from .job_texts import became, named
from .screens.base import Place
from .screens.notice import Notice, Wish

if TYPE_CHECKING:
    from textual.app import App

    from diffinv.jobs.store import Job

    from .services import Services

_LISTED = 5
_FIRST = ("interrupted", "failed")


class News:
    """Compares the jobs with how they were when they were last seen."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._states: dict[int, str] | None = None

    @property
    def _services(self) -> Services:
        return cast("Services", self._app)

    def take(self, jobs: list[Job]) -> None:
        """The jobs as they are now."""
        news = [job for job in jobs if job.is_news]
        if self._states is not None:
            for job in jobs:
                self._say(job, self._states.get(job.id))
        elif news:
            self._app.call_after_refresh(self._while_away, news)
        self._states = {job.id: job.state for job in jobs}
        if news:
            ids = [job.id for job in news]
            self._services.do(partial(self._services.store.set_told, ids))

    def _say(self, job: Job, before: str | None) -> None:
        """Say what a job has come to that was at work before."""
        if before not in ("queued", "running"):
            return
        title = plain(job.title, limit=60).plain
        if job.state == "done":
            failed = f"; {plural(len(job.failures), 'picture')} failed" if job.failures else ""
            screen = self._app.screen
            if not failed and isinstance(screen, Place) and screen.is_showing(job):
                return
            severity: SeverityLevel = "warning" if failed else "information"
            self._app.notify(f"{title} is done{failed}.", severity=severity, markup=False)
        elif job.state in ("failed", "interrupted"):
            self._services.complain(job.error or f"{title}: {job.state}.")
        elif job.state == "queued" and before == "running" and job.deaths:
            said = f"{title}: its worker stopped unexpectedly; another one goes on with it."
            self._app.notify(said, severity="warning", markup=False)

    def _while_away(self, news: Sequence[Job]) -> None:
        """What happened while no app was open."""
        told = sorted(news, key=lambda job: (job.state not in _FIRST, -(job.finished or 0)))
        stopped = [job.id for job in told if job.state == "interrupted"]

        def after(wish: Wish | None) -> None:
            if wish == "resume":
                self._services.do(partial(self._resume, stopped), self._resumed)
            elif wish == "show":
                self._services.show_job(told[0].id)

        wishes: list[Wish] = ["resume", "show"] if stopped else ["show"]
        hint = "u goes on with it, Enter shows it." if stopped else "Enter shows it."
        if len(told) > _LISTED:
            hint = f"And {plural(len(told) - _LISTED, 'other job')}. {hint}"
        listed = [(named(job), became(job)) for job in told[:_LISTED]]
        self._app.push_screen(Notice("While you were away", listed, hint, wishes), after)

    def _resume(self, ids: Sequence[int]) -> int:
        for id in ids:
            self._services.store.resume(id)
        self._services.launch()
        return ids[0]

    def _resumed(self, id: int) -> None:
        self._services.poll_soon()
        self._services.show_job(id)


def running_already(job: Job) -> Notice:
    """Says that a job does already what was asked for once more."""
    title = f"This is {'running' if job.state == 'running' else 'waiting'} already"
    about = plain(so_far(job) or "It has not begun yet.")
    hint = "It is not started twice. Enter shows it."
    return Notice(title, [(named(job), about)], hint, ["show"])
