"""What the command line offers where a job or the queue stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..jobs.job import Job
    from ..jobs.store import JobStore


def why_stopped(job: Job) -> str:
    """Why a job is not done, and the command that goes on with it; nothing where nobody knows."""
    if job.error and job.state == "interrupted":
        return _with(job.error, f"'diffinv jobs resume {job.id}' goes on with it.")
    if job.error and job.state == "cancelled" and job.waits_for:
        return _with(job.error, f"'diffinv jobs resume {job.waits_for}' goes on with both.")
    return job.error or ""


def why_paused(store: JobStore) -> str:
    """Why the queue is paused, and the command that lets it go on; nothing where it is not."""
    reason = store.pause_reason
    return _with(reason, "'diffinv jobs unpause' goes on with it.") if reason else ""


def _with(sentence: str, way: str) -> str:
    return f"{sentence.removesuffix('.')}; {way}"
