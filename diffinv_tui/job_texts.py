"""How the app speaks of a job: its mark, where it is, what came of it, its log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text

from diffinv.jobs.counting import MANY, count, learned, so_far
from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.system.text import plural, readable

from .formatting import duration, plain, short_path, tilde
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


_DOES = {
    "invert": "learning on {}",
    "invert-many": "learning on {}",
    "apply": "applying on {}",
    "fetch": "fetching",
}


def look(job: Job) -> tuple[str, str]:
    """A mark and a colour for what became of a job; the mark alone is enough."""
    return ("!", "warn") if is_partial(job) else _LOOKS[job.state]


def is_partial(job: Job) -> bool:
    """Whether a job is done, but not with every picture."""
    return job.state == "done" and bool(job.failures)


def pictures(job: Job) -> str:
    """How many pictures there are: those of this run, those from before, those that failed; or how
    many differences."""
    if job.kind == "invert-many":
        return learned(job)
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


def bar(job: Job, width: int) -> Text:
    """A bar that is full by what is done of a job, in the colour of what became of it."""
    full = round(job.share * width)
    style = "good" if job.state == "queued" else look(job)[1]
    return Text().append("━" * full, style).append("─" * (width - full), "muted")


def prompt(job: Job, width: int) -> Text:
    """A job in two lines: title and number, how it is and since when."""
    mark, style = look(job)
    text = Text(no_wrap=True, overflow="ellipsis").append(f"{mark} ", style)
    number = f" #{job.id}"
    title = plain(job.title, "bold" if job.state == "running" else "", 200)
    text.append_text(_fitted(title, width - len(number))).append(number, "muted").append("\n  ")
    if job.state == "running" and job.share and not job.damage:
        done = f" {count(job) if job.kind in MANY else f'{100 * job.share:3.0f} %'}"
        return text.append_text(bar(job, max(8, width - len(done)))).append(done)
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
    said = "held" if job.held and job.state == "queued" else job.state
    if job.deaths and job.state == "queued":
        said = "starts again"
    return plain(", ".join(filter(None, [_done_of(job), said])), "muted")


def _done_of(job: Job) -> str:
    """``132 of 200`` of a job of pictures that has begun."""
    return count(job) if job.kind in MANY and job.share else ""


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
    elif job.deaths and job.state in ("queued", "running"):
        said = f"{job.state}, after its worker stopped {plural(job.deaths, 'time')}"
    text = Text().append(f"{mark} ", style).append(said, style)
    text.stylize("bold", 2)
    text.append(f"   {_DOES[job.kind].format(job.device)}", "muted")
    text.append(f"   queued {clock(job.created)}", "muted")
    if took(job):
        text.append(f"   took {took(job)}", "muted")
    if job.state == "done" and job.kind == "apply" and (job.outputs or job.failures):
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
    if job.state in ("queued", "failed", "cancelled") and not job.share:
        return Text("Waiting for its turn." if job.state == "queued" else "", "muted")
    progress = job.progress
    text = plain(progress.phase or "Waiting for its turn", limit=60)
    text.append(f"  {100 * job.share:.0f} %\n" if job.share else "\n")
    text.append_text(bar(job, width)).append("\n")
    numbers = [
        so_far(job),
        _pace(job),
        f"loss\u00a0{progress.loss:.4f}" if is_papers() and progress.loss is not None else "",
        f"{progress.memory_mb:,.0f} MB" if progress.memory_mb and job.kind != "fetch" else "",
    ]
    return text.append("   ".join(filter(None, numbers)), "muted")


def _pace(job: Job) -> str:
    """How fast it is, where pictures do not say it."""
    rate = job.progress.rate
    if rate is None or job.kind in MANY:
        return ""
    if job.kind == "fetch":
        return f"{readable(rate)}/s" if rate and job.state == "running" else ""
    return f"{rate:.1f} it/s"


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
        text.append("✗ ", "bad").append_text(plain(tilde(line), limit=600)).append("\n")
    if job.error and job.state in ("interrupted", "cancelled"):
        first = f"Go on with job {job.waits_for} first." if job.waits_for else "u goes on with it."
        text.append(f"  {first}\n", "muted")
    if more := len(job.failures) - len(failures):
        text.append(f"✗ and {more} more\n", "bad")
    for line in job.warnings[:3]:
        text.append("! ", "warn").append_text(plain(line, limit=300)).append("\n")
    for line in job.progress.notes[:2]:
        text.append_text(plain(line, "muted", limit=300)).append("\n")
    text.rstrip()
    return text


def named(job: Job) -> Text:
    """A job's mark and title."""
    mark, style = look(job)
    return Text().append(f"{mark} ", style).append_text(plain(job.title, "bold", 120))


def became(job: Job) -> Text:
    """What has become of a job, with the reason where it ended early."""
    done = f"{count(job)} done, then " if job.kind in MANY and count(job) else ""
    if job.state in ("interrupted", "failed"):
        reason = f": {_reason(job)}" if job.error else ""
        return plain(f"{done}{job.state}{reason}", limit=300)
    if job.state == "done" and job.kind == "invert-many":
        return plain(f"finished, {learned(job)}")
    if job.state == "done":
        made = {"invert": "learned", "fetch": "fetched"}.get(job.kind) or count(job)
        failed = f", {len(job.failures)} failed" if job.failures else ""
        return plain(f"finished, {made}{failed}")
    done = f"{count(job)} done; " if done else ""
    return plain(f"{done}its worker stopped unexpectedly, and another one goes on with it")


def _reason(job: Job) -> str:
    """Why a job ended early, without what everybody knows."""
    error = tilde(job.error or "").removeprefix(f"Job {job.id} was interrupted: ")
    return error.rstrip(".")


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
