"""How the app speaks of a job: its mark, where it is, what came of it, its log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.system.text import plural, readable

from .formatting import duration, in_app, plain, short_path, tilde
from .words import is_papers

if TYPE_CHECKING:
    from pathlib import Path

    from diffinv.jobs.store import Job

_LOOKS = {
    "queued": ("○", "muted"),
    "running": ("●", "good"),
    "done": ("✓", "good"),
    "failed": ("✗", "bad"),
    "cancelled": ("⊘", "muted"),
    "interrupted": ("‖", "warn"),
}


_DOES = {"invert": "learning on {}", "apply": "applying on {}", "fetch": "fetching"}


def look(job: Job) -> tuple[str, str]:
    """A mark and a colour for what became of a job; the mark alone is enough."""
    return ("!", "warn") if is_partial(job) else _LOOKS[job.state]


def is_partial(job: Job) -> bool:
    """Whether a job is done, but not with every picture."""
    return job.state == "done" and bool(job.failures)


def pictures(job: Job) -> str:
    """How many pictures there are: those of this run, those from before, those that failed."""
    new = len(job.outputs) - job.skipped
    said = plural(len(job.outputs), "picture")
    if job.skipped:
        said = f"{new} new, {job.skipped} done before"
    elif job.failures:
        said = f"{len(job.outputs)} of {len(job.outputs) + len(job.failures)} pictures"
    return f"{said}, {len(job.failures)} failed" if job.failures else said


def clock(moment: float) -> str:
    """A time of today as ``09:30``, of another day as ``24 Nov``."""
    then = time.localtime(moment)
    if then[:3] == time.localtime()[:3]:
        return time.strftime("%H:%M", then)
    return f"{then.tm_mday} {time.strftime('%b', then)}"


def took(job: Job) -> str:
    """How long a job took; nothing before its end."""
    return duration(job.finished - job.started) if job.started and job.finished else ""


def bar(share: float, width: int) -> Text:
    """A bar that is full by a share."""
    full = round(min(1.0, max(0.0, share)) * width)
    return Text().append("━" * full, "good").append("─" * (width - full), "muted")


def share(job: Job) -> float:
    """How much of the phase is done."""
    progress = job.progress
    return progress.step / progress.total if progress.total else 0.0


def prompt(job: Job, width: int) -> Text:
    """A job in two lines: title and number, how it is and since when."""
    mark, style = look(job)
    text = Text(no_wrap=True, overflow="ellipsis").append(f"{mark} ", style)
    number = f" #{job.id}"
    title = plain(job.title, "bold" if job.state == "running" else "", 200)
    text.append_text(_fitted(title, width - len(number))).append(number, "muted").append("\n  ")
    if job.state == "running" and job.progress.total and not job.damage:
        text.append_text(bar(share(job), max(8, width - 7))).append(f" {100 * share(job):3.0f} %")
        return text
    about, moment = _about(job), " " + clock(job.finished or job.created)
    if about.cell_len > width - len(moment):
        return text.append_text(_fitted(about, width))
    return text.append_text(_fitted(about, width - len(moment))).append(moment, "muted")


def _fitted(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _about(job: Job) -> Text:
    if job.error and (job.state == "failed" or job.damage):
        return plain(job.error, "bad")
    if job.state == "running":
        return plain(job.progress.phase or "starting", "muted")
    if job.state == "done":
        what = {"invert": "learned", "fetch": "fetched"}.get(job.kind) or pictures(job)
        said = f"{what} in {took(job)}" if took(job) and not job.failures else what
        return plain(said, "warn" if job.failures else "muted")
    return plain("held" if job.held and job.state == "queued" else job.state, "muted")


def title_line(job: Job) -> Text:
    """The title, and the number by which the command line knows the job."""
    return plain(job.title, limit=120).append(f"   job {job.id}", "muted")


def state_line(job: Job) -> Text:
    """The state in words, with when it was queued and how long it took."""
    mark, style = look(job)
    said: str = "stopping" if job.cancelling and job.state == "running" else job.state
    if job.held and job.state == "queued":
        said = "queued, held until the queue goes on"
    elif job.waits_for and job.state == "queued":
        said = f"queued, after job {job.waits_for}"
    text = Text().append(f"{mark} ", style).append(said, style)
    text.stylize("bold", 2)
    text.append(f"   {_DOES[job.kind].format(job.device)}", "muted")
    text.append(f"   queued {clock(job.created)}", "muted")
    if took(job):
        text.append(f"   took {took(job)}", "muted")
    if job.kind == "apply" and (job.outputs or job.failures):
        text.append("   ").append(pictures(job), "warn" if job.failures else "muted")
    if job.difference:
        text.append("   Enter opens ", "muted").append_text(plain(job.difference[0], limit=60))
    elif job.kind == "apply" and job.state == "done" and job.outputs:
        text.append(f"   in {short_path(job.outputs[0].output.parent)}", "muted")
    return text


def figures(job: Job, width: int) -> Text:
    """Phase, bar, and the numbers below it; of a job that is done, what was learned."""
    if job.damage:
        return Text()
    if job.state == "done":
        return Text(_learned(job), "muted")
    if job.state in ("queued", "failed", "cancelled") and not job.progress.total:
        return Text("Waiting for its turn." if job.state == "queued" else "", "muted")
    progress = job.progress
    text = plain(progress.phase, limit=60)
    text.append(f"  {100 * share(job):.0f} %\n" if progress.total else "\n")
    text.append_text(bar(share(job), width)).append("\n")
    numbers = [
        *_pace(job),
        f"{duration(progress.eta)} left" if progress.eta and job.state == "running" else "",
        f"loss\u00a0{progress.loss:.4f}" if is_papers() and progress.loss is not None else "",
        f"{progress.memory_mb:,.0f} MB" if progress.memory_mb and job.kind != "fetch" else "",
    ]
    return text.append("   ".join(filter(None, numbers)), "muted")


def _pace(job: Job) -> tuple[str, str]:
    """How far it is and how fast."""
    now = job.progress
    if job.kind == "fetch":
        far = f"{readable(now.step)} of {readable(now.total)}" if now.total else ""
        return far, f"{readable(now.rate)}/s" if now.rate and job.state == "running" else ""
    far = f"{now.step}/{now.total} steps" if now.total else ""
    return far, f"{now.rate:.1f} it/s" if now.rate is not None else ""


def _learned(job: Job) -> str:
    if not isinstance(job.request, InvertRequest):
        return ""
    loss = f"   final loss\u00a0{job.losses[-1]:.4f}" if is_papers() and job.losses else ""
    return f"{plural(job.request.settings.steps, 'step')} learned{loss}"


def troubles(job: Job) -> Text:
    """The error, the pictures that failed, warnings and notes."""
    text = Text()
    failures = job.failures[:3]
    for line in [*([job.error] if job.error else []), *failures]:
        text.append("✗ ", "bad").append_text(plain(in_app(tilde(line)), limit=600)).append("\n")
    if more := len(job.failures) - len(failures):
        text.append(f"✗ and {more} more\n", "bad")
    for line in job.warnings[:3]:
        text.append("! ", "warn").append_text(plain(line, limit=300)).append("\n")
    for line in job.progress.notes[:2]:
        text.append_text(plain(line, "muted", limit=300)).append("\n")
    text.rstrip()
    return text


def log_text(job: Job, log: str) -> Text:
    """A job's log, with the files of the job named from the folder that theirs is in."""
    folders = sorted((f"{folder}/" for folder in _folders(job)), key=len, reverse=True)
    lines = Text()
    for line in log.splitlines():
        for folder in folders:
            line = line.replace(folder, "")
        lines.append_text(plain(tilde(line), limit=len(log) + 1)).append("\n")
    lines.rstrip()
    return lines


def _folders(job: Job) -> set[str]:
    files: list[Path] = []
    if isinstance(job.request, ApplyRequest):
        files = [*job.request.images, job.request.out]
    elif isinstance(job.request, InvertRequest):
        files = [path for pair in job.request.pairs for path in pair]
    return {str(path.parent) for path in files if len(path.parent.parts) > 1}
