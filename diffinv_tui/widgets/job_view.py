"""One job: where it is, how it goes, what it shows, what it says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.containers import Horizontal, Vertical
from textual.widgets import Log, Static

from diffinv.errors import DiffinvError
from diffinv.jobs.requests import InvertRequest
from diffinv.text import text_safe

from ..messages import tell
from ..pictures import open_thumbnail, preview_picture
from ..words import duration, plain, plural, short_path, tilde
from .curve import Curve
from .difference_view import Figure
from .wall import Result, Wall

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult

    from diffinv.jobs.store import Job

_LOG_TAIL = 16_384

LOOKS = {
    "queued": ("○", "muted"),
    "running": ("●", "good"),
    "done": ("✓", "good"),
    "failed": ("✗", "bad"),
    "cancelled": ("⊘", "muted"),
    "interrupted": ("‖", "warn"),
}
"""A mark and a colour for every state; the mark alone is enough."""


class JobView(Vertical):
    """The detail of a job."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._job: Job | None = None
        self._shown: tuple[object, ...] = ()
        self._log_size = -1

    def compose(self) -> ComposeResult:
        """The parts from top to bottom."""
        yield Static("", classes="view-title")
        yield Static("", classes="job-state")
        yield Static("", classes="job-bar")
        yield Static("", classes="job-error")
        with Horizontal(classes="figures", id="job-figures"):
            yield Figure("A", "a", "…")
            yield Figure("A′", "prime", "…")
            yield Figure("Preview", "preview", "…")
        yield Wall(id="job-wall")
        with Vertical(id="job-loss"):
            yield Static("Loss", classes="heading")
            yield Curve()
        yield Static("Log", classes="heading", id="job-log-heading")
        yield Log(id="job-log")

    def show(self, job: Job | None) -> None:
        """Show a job as it is now."""
        other = (job and job.id) != (self._job and self._job.id)
        self._job = job
        self.display = job is not None
        if job is None:
            return
        if other:
            self._shown, self._log_size = (), -1
            self.query_one(Log).clear()
        learns = isinstance(job.request, InvertRequest)
        self.query_one("#job-figures").display = learns
        self.query_one("#job-loss").display = learns and len(job.losses) > 1
        self.query_one("#job-wall").display = not learns
        self.query_one(".view-title", Static).update(plain(job.title, limit=120))
        self.query_one(".job-state", Static).update(state_line(job))
        self._show_progress(job)
        self._show_errors(job)
        if learns:
            self.query_one(Curve).show(job.losses)
        else:
            outputs = [Result(o.input, o.output, duration(o.seconds)) for o in job.outputs]
            self.query_one(Wall).show(outputs)
        self._load(job)

    def on_resize(self) -> None:
        """The bar follows the width."""
        if self._job is not None:
            self._show_progress(self._job)

    def _show_progress(self, job: Job) -> None:
        bar_line = figures(job, max(10, self.size.width - 6))
        self.query_one(".job-bar", Static).update(bar_line)

    def _show_errors(self, job: Job) -> None:
        text = Text()
        for line in [*([job.error] if job.error else []), *job.failures[:3]]:
            text.append("✗ ", "bad").append_text(plain(tilde(line), limit=600)).append("\n")
        for line in job.warnings[:3]:
            text.append("! ", "warn").append_text(plain(line, limit=300)).append("\n")
        for line in job.progress.notes[:2]:
            text.append_text(plain(line, "muted", limit=300)).append("\n")
        text.rstrip()
        widget = self.query_one(".job-error", Static)
        widget.update(text)
        widget.display = bool(text)

    @work(thread=True, exclusive=True, group="job")
    def _load(self, job: Job) -> None:
        """The pictures and the log, where they are other ones than those shown."""
        stamps = (job.id, *(_changed(path) for path in (job.preview, job.log)))
        if stamps == self._shown:
            return
        self._shown = stamps
        tell(self.app, self._show_log, job.id, _tail(job.log))
        if not isinstance(job.request, InvertRequest):
            return
        for index, path in enumerate(job.request.pairs[0]):
            try:
                tell(self.app, self._show_picture, job.id, index, open_thumbnail(path), "")
            except DiffinvError as error:
                tell(self.app, self._show_picture, job.id, index, None, str(error))
        if job.preview is not None and (image := _preview(job.preview)):
            tell(self.app, self._show_picture, job.id, 2, image, "")
        else:
            message = "none" if job.is_finished else "comes while it learns"
            tell(self.app, self._show_picture, job.id, 2, None, message)

    def _show_picture(self, id: int, index: int, image: Image | None, message: str) -> None:
        if self.is_attached and self._job and self._job.id == id:
            list(self.query(Figure))[index].show(image, message)

    def _show_log(self, id: int, text: str) -> None:
        if self.is_attached and self._job and self._job.id == id and len(text) != self._log_size:
            self._log_size = len(text)
            log = self.query_one(Log)
            log.clear()
            log.write_lines([text_safe(line) for line in text.splitlines()])


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


def state_line(job: Job) -> Text:
    """The state in words, with how long it has been or took."""
    mark, style = LOOKS[job.state]
    text = Text().append(f"{mark} ", style)
    said: str = "stopping" if job.cancelling and job.state == "running" else job.state
    if job.held and job.state == "queued":
        said = "queued, held until the queue goes on"
    text.append(said, style).stylize("bold", 2)
    text.append(f"   {'learning' if job.kind == 'invert' else 'applying'} on {job.device}", "muted")
    if job.started and job.finished:
        text.append(f"   took {duration(job.finished - job.started)}", "muted")
    if job.kind == "apply" and job.outputs:
        text.append(f"   {plural(len(job.outputs), 'picture')}", "muted")
    if job.difference:
        text.append("   Enter opens ", "muted").append_text(plain(job.difference[0], limit=60))
    elif job.kind == "apply" and job.state == "done" and job.outputs:
        text.append(f"   in {short_path(job.outputs[0].output.parent)}", "muted")
    return text


def bar(share: float, width: int) -> Text:
    """A bar that is full by a share."""
    full = round(min(1.0, max(0.0, share)) * width)
    return Text().append("━" * full, "good").append("─" * (width - full), "muted")


def share(job: Job) -> float:
    """How much of the phase is done."""
    progress = job.progress
    return progress.step / progress.total if progress.total else 0.0


def figures(job: Job, width: int) -> Text:
    """Phase, bar, and the numbers below it."""
    if job.state in ("queued", "done", "failed", "cancelled") and not job.progress.total:
        return Text("Waiting for its turn." if job.state == "queued" else "", "muted")
    progress = job.progress
    text = plain(progress.phase, limit=60)
    text.append(f"  {100 * share(job):.0f} %\n" if progress.total else "\n")
    text.append_text(bar(share(job), width)).append("\n")
    numbers = [
        f"{progress.step}/{progress.total} steps" if progress.total else "",
        f"{progress.rate:.1f} it/s" if progress.rate is not None else "",
        f"{duration(progress.eta)} left" if progress.eta and job.state == "running" else "",
        f"loss\u00a0{progress.loss:.4f}" if progress.loss is not None else "",
        f"{progress.memory_mb:,.0f} MB" if progress.memory_mb else "",
    ]
    return text.append("   ".join(filter(None, numbers)), "muted")
