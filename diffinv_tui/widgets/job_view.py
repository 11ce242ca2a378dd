"""One job: where it is, how it goes, what it shows, what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import work
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from diffinv.errors import DiffinvError
from diffinv.jobs.requests import ApplyRequest, InvertRequest

from ..job_texts import figures, log_text, state_line, title_line, troubles
from ..messages import tell
from ..pictures import open_thumbnail, preview_picture
from .curve import Curve
from .difference_view import Figure
from .outcome import result_of
from .results_grid import ResultsGrid
from .said import Said

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from diffinv.jobs.store import Job

_LOG_TAIL = 16_384


class JobLog(VerticalScroll):
    """The end of a job's log."""

    HELP = """What the job has said, the newest last: phases, warnings, files as they are made."""


class JobView(Vertical):
    """The detail of a job."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._job: Job | None = None
        self._shown: tuple[object, ...] = ()
        self._log: str | None = None

    def compose(self) -> ComposeResult:
        """The parts from top to bottom."""
        yield Static("", classes="view-title")
        yield Static("", classes="job-state")
        yield Static("", classes="job-bar")
        yield Static("", classes="job-error")
        with Horizontal(classes="figures", id="job-figures"):
            yield Figure("{Before}", "a", "…")
            yield Figure("{After}", "prime", "…")
            yield Figure("Preview", "preview", "…")
        yield ResultsGrid(id="job-wall")
        with Vertical(id="job-loss"):
            yield Said("{Left_to_learn}", classes="heading")
            yield Curve()
        yield Static("Log", classes="heading", id="job-log-heading")
        with JobLog(id="job-log"):
            yield Static("", id="job-log-text")

    def show(self, job: Job | None) -> None:
        """Show a job as it is now."""
        other = (job and job.id) != (self._job and self._job.id)
        self._job = job
        self.display = job is not None
        if job is None:
            return
        if other:
            self._shown, self._log = (), None
            self.query_one("#job-log-text", Static).update("")
        learns = isinstance(job.request, InvertRequest) and not job.damage
        self.query_one("#job-figures").display = learns
        self.query_one("#job-loss").display = learns and len(job.losses) > 1
        self.query_one("#job-wall").display = isinstance(job.request, ApplyRequest)
        self.query_one(".view-title", Static).update(title_line(job))
        self.query_one(".job-state", Static).update(state_line(job))
        self._show_progress(job)
        self._show_errors(job)
        if learns:
            self.query_one(Curve).show(job.losses)
        else:
            pictures = job.outputs if job.kind == "apply" else ()
            self.query_one(ResultsGrid).show([result_of(job, one) for one in pictures])
        self._load(job)

    def on_resize(self) -> None:
        """The bar follows the width."""
        if self._job is not None:
            self._show_progress(self._job)

    def _show_progress(self, job: Job) -> None:
        text = figures(job, max(10, self.size.width - 6))
        widget = self.query_one(".job-bar", Static)
        widget.update(text)
        widget.display = bool(text)

    def _show_errors(self, job: Job) -> None:
        text = troubles(job)
        widget = self.query_one(".job-error", Static)
        widget.update(text)
        widget.display = bool(text)

    @work(thread=True, exclusive=True, group="job")
    def _load(self, job: Job) -> None:
        """The pictures and the log, where they are other ones than those shown."""
        stamps = (job.id, job.is_finished, *(_changed(path) for path in (job.preview, job.log)))
        if stamps == self._shown:
            return
        self._shown = stamps
        tell(self.app, self._show_log, job.id, _tail(job.log))
        if job.damage or not isinstance(job.request, InvertRequest):
            return
        for index, path in enumerate(job.request.pairs[0]):
            try:
                tell(self.app, self._show_picture, job.id, index, open_thumbnail(path), "")
            except DiffinvError as error:
                tell(self.app, self._show_picture, job.id, index, None, error.neutral)
        if job.preview is not None and (image := _preview(job.preview)):
            tell(self.app, self._show_picture, job.id, 2, image, "")
        else:
            none = job.is_finished or not job.request.settings.preview
            message = "none" if none else "comes while it learns"
            tell(self.app, self._show_picture, job.id, 2, None, message)

    def _show_picture(self, id: int, index: int, image: Image | None, message: str) -> None:
        if self.is_attached and self._job and self._job.id == id:
            list(self.query(Figure))[index].show(image, message)

    def _show_log(self, id: int, text: str) -> None:
        if self.is_attached and self._job and self._job.id == id and text != self._log:
            self._log = text
            self.query_one("#job-log-text", Static).update(log_text(self._job, text))
            self.query_one(JobLog).scroll_end(animate=False)


def _changed(path: Path | None) -> object:
    try:
        return path and path.stat().st_mtime_ns
    except OSError:
        return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _preview(path: Path) -> Image | None:
    try:
        return preview_picture(path.read_bytes())
    except OSError:
        return None
