"""The queue: what runs, what waits, what became of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from diffinv.storage.store import Entry
from diffinv.system.text import plural

from ..bindings import JOBS
from ..formatting import plain
from ..job_texts import prompt
from ..widgets.job_view import JobView
from ..widgets.pair_grid import PairGrid
from ..widgets.results_grid import ResultsGrid
from .base import Place
from .comparison import enlarge
from .dialogs import Detail
from .lists import LineList

if TYPE_CHECKING:
    from rich.text import Text
    from textual.app import ComposeResult
    from textual.screen import ActiveBinding

    from diffinv.jobs.store import Job

_LISTED = 200


class JobList(LineList):
    """The jobs: what runs, then what waits, then the rest."""

    HELP = """The queue. It belongs to no window: jobs go on when the app is closed.

    **c** cancels, **u** goes on with a job where it was cancelled or interrupted, and keeps what
    is done; **r** starts it over as a new job, from nothing; **e** opens it in its form, to be
    changed. **K** and **J** move a waiting job, **p** pauses the queue or lets it go on.
    """


class JobsScreen(Place):
    """The list on the left, one job on the right."""

    MODE = "jobs"
    BINDINGS: ClassVar[list[BindingType]] = JOBS

    def __init__(self) -> None:
        super().__init__()
        self._jobs: list[Job] = []
        self._wanted: int | None = None

    def body(self) -> ComposeResult:
        """The list and the view."""
        with Horizontal(id="jobs", classes="split"):
            with Vertical(id="job-side"):
                yield Static("", id="job-notice")
                yield JobList()
            yield JobView(id="job-view")
        yield Static(
            "No jobs yet.\n\nPress 2 to learn a difference from two pictures,\n"
            "or 4 to apply one that you have.",
            id="no-jobs",
            classes="notice",
        )

    def on_mount(self) -> None:
        """The list has the focus."""
        self.query_one(JobList).focus()

    def on_resize(self) -> None:
        """The list's bars follow its width."""
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        """The jobs as they are by now: some may have come since the resize."""
        self.jobs_changed(self.diffinv.jobs)

    def select(self, id: int) -> None:
        """Show a job, as soon as it is listed."""
        self._wanted = id
        if self.is_mounted:
            self.jobs_changed(self.diffinv.jobs)

    @property
    def current(self) -> Job | None:
        """The job under the cursor."""
        index = self.query_one(JobList).highlighted
        return self._jobs[index] if index is not None and index < len(self._jobs) else None

    def is_showing(self, job: Job) -> bool:
        """The one under the cursor is seen whole."""
        return self.current is not None and self.current.id == job.id

    def jobs_changed(self, jobs: list[Job]) -> None:
        """Show the jobs, with the cursor on the same one as before."""
        before = self._wanted or (self.current.id if self.current else None)
        self._go_along(jobs)
        self._jobs = jobs[:_LISTED]
        listing = self.query_one(JobList)
        width = (30 if self.has_class("-narrow") else 42) - 6
        ids = [str(job.id) for job in self._jobs]
        if [option.id for option in listing.options] == ids:
            for job in self._jobs:
                listing.replace_option_prompt(str(job.id), self._prompt(job, width))
        else:
            listing.clear_options()
            listing.add_options(Option(self._prompt(j, width), id=str(j.id)) for j in self._jobs)
            listing.highlighted = ids.index(str(before)) if str(before) in ids else 0
        if self._wanted is not None and str(self._wanted) in ids:
            listing.highlighted = ids.index(str(self._wanted))
            self._wanted = None
        self.query_one("#jobs").display = bool(jobs)
        self.query_one("#no-jobs").display = not jobs
        self._show_notice()
        self.query_one(JobView).show(self.current)
        self.refresh_bindings()

    def _go_along(self, jobs: list[Job]) -> None:
        """From a job that is done to the one that waited for it, and to that one's results."""
        before = self.current
        now = next((job for job in jobs if before and job.id == before.id), None)
        if now is None or before is None or before.is_finished or now.state != "done":
            return
        for job in jobs:
            if job.waits_for == now.id:
                self._wanted = job.id
        if now.waits_for and now.outputs:
            self.call_after_refresh(self.query_one(ResultsGrid).focus)

    def _prompt(self, job: Job, width: int) -> Text:
        text = prompt(job, width)
        return text.append("\n") if self.has_class("-tall") else text

    def _show_notice(self) -> None:
        notice = self.query_one("#job-notice", Static)
        reason = self.diffinv.pause_reason
        notice.display = bool(reason)
        notice.update(plain(f"‖ {reason} p lets it go on." if reason else ""))

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """The keys, of which one says what it does to the queue as it is."""
        active = super().active_bindings
        if self.diffinv.pause_reason:
            for key, one in active.items():
                if one.binding.action == "pause":
                    binding = replace(one.binding, description="Resume queue")
                    active[key] = one._replace(binding=binding)
        return active

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer offers what can be done with this job."""
        job = self.current if self.is_mounted else None
        possible: dict[str, Callable[[Job], bool]] = {
            "open": lambda job: bool(job.difference or job.outputs),
            "cancel": lambda job: (
                job.state in ("queued", "running", "interrupted") and not job.cancelling
            ),
            "retry": lambda job: job.is_finished,
            "edit": lambda job: job.is_finished,
            "resume": lambda job: job.state in ("cancelled", "failed", "interrupted"),
            "move": lambda job: job.state == "queued",
            "move_to": lambda job: job.state == "queued",
        }
        if action in possible:
            return job is not None and possible[action](job)
        return True

    @on(OptionList.OptionHighlighted)
    def _other(self) -> None:
        self.query_one(JobView).show(self.current)
        self.refresh_bindings()

    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        self.action_open()

    @on(PairGrid.Opened)
    def _large(self) -> None:
        enlarge(self.query_one(ResultsGrid), self.app)

    def action_open(self) -> None:
        """Open what came out: the difference, or the results."""
        job = self.current
        if job is None:
            return
        if job.difference:
            name, path = job.difference
            self.do(lambda: _entry(name, path), self._open_entry)
        elif job.kind == "invert-many":
            self.diffinv.action_go("library")
        elif job.outputs:
            self.query_one(ResultsGrid).focus()

    def _open_entry(self, entry: Entry) -> None:
        def after(wish: str | None) -> None:
            if wish == "apply":
                self.diffinv.apply_these([(entry.name, entry.path)])

        self.app.push_screen(Detail(entry, ["apply"]), after)

    def _with_job(self, action: Callable[[int], Any], launches: bool = False) -> None:
        job = self.current
        if job is None:
            return
        id = job.id

        def then(result: Any) -> None:
            if launches:
                self.select(result.id)
            self.diffinv.poll_soon()

        def act() -> Any:
            result = action(id)
            if launches:
                self.diffinv.launch()
            return result

        self.do(act, then)

    def action_cancel(self) -> None:
        """Take it from the queue, or stop it between two steps."""
        self._with_job(self.diffinv.store.cancel)

    def action_retry(self) -> None:
        """The same once more, from the start."""
        self._with_job(self.diffinv.store.retry, launches=True)

    def action_resume(self) -> None:
        """Go on where it was."""
        self._with_job(self.diffinv.store.resume, launches=True)

    def action_edit(self) -> None:
        """Ask for the same with changes."""
        job = self.current
        if job and job.damage:
            self.app.notify(job.damage, severity="error", markup=False)
        elif job:
            self.diffinv.edit(job.request)

    def action_leave(self) -> None:
        """From a job's results or log to the list, from there to the library."""
        listing = self.query_one(JobList)
        if listing.has_focus or not listing.display:
            self.diffinv.action_go("library")
        else:
            listing.focus()

    def action_move(self, up: bool) -> None:
        """Change places with the neighbour."""
        self._with_job(lambda id: self.diffinv.store.move(id, up))

    def action_move_to(self, first: bool) -> None:
        """To an end of the queue."""
        self._with_job(lambda id: self.diffinv.store.move_to_end(id, first))

    def action_pause(self) -> None:
        """Start no further job, or go on."""
        store = self.diffinv.store

        def change() -> bool:
            paused = not store.paused
            store.set_paused(paused)
            if not paused:
                self.diffinv.launch()
            return paused

        def then(paused: bool) -> None:
            self.app.notify("The queue is paused." if paused else "The queue goes on.")
            self.diffinv.poll_soon()

        self.do(change, then)

    def action_clear(self) -> None:
        """Forget what is done, failed or cancelled."""

        def then(count: int) -> None:
            self.app.notify(f"{plural(count, 'job')} cleared. Their results stay.")
            self.diffinv.poll_soon()

        self.do(self.diffinv.store.clear, then)


def _entry(name: str, path: Any) -> Entry:
    from diffinv.difference import read_info

    return Entry(name, path, read_info(path))
