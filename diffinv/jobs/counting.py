"""How far a job has come, in pictures or differences where it makes many; every front end says it
alike."""

from __future__ import annotations

from ..system.text import plural, readable
from .job import Job

MANY = ("apply", "invert-many")
"""The kinds of jobs that make many things, which say how many."""

LEARN = ("invert", "invert-many")
"""The kinds that bring differences to the library."""


def count(job: Job) -> str:
    """``132 of 200`` pictures or differences, ``27 of 40 steps`` or ``12 MB of 5.2 GB``; nothing
    while the number is not known."""
    if job.kind in MANY:
        done = len(job.outputs)
        whole = max(job.progress.pictures, done + len(job.failures))
        return f"{done:,} of {whole:,}" if whole else ""
    now = job.progress
    if job.kind == "fetch" and now.total:
        return f"{readable(now.step)} of {readable(now.total)}"
    return f"{now.step:,} of {now.total:,} steps" if now.total else ""


def learned(job: Job) -> str:
    """How many differences an inversion of many has brought, and how many failed."""
    done, failed = len(job.outputs), len(job.failures)
    whole = plural(done + failed, "difference")
    return f"{done} of {whole}, {failed} failed" if failed else whole


def so_far(job: Job) -> str:
    """``132 of 200, about 40 min left``."""
    left = job.progress.eta if job.state == "running" else None
    return ", ".join(filter(None, [count(job), f"{about(left)} left" if left else ""]))


def about(seconds: float) -> str:
    """A time that nobody knows exactly: ``about 40 s``, ``about 5 min``, ``about 3 h 20 min``."""
    if seconds < 57.5:
        return f"about {max(5, 5 * round(seconds / 5))} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min"
    hours, minutes = divmod(5 * round(seconds / 300), 60)
    return f"about {hours} h {minutes} min" if minutes else f"about {hours} h"
