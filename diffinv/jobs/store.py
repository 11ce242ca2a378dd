"""The queue: a table that every front end and every worker shares."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from .job import Job, JobProgress, State
from .requests import ApplyRequest, InvertRequest

__all__ = ["Job", "JobProgress", "JobStore", "State"]


class JobStore:
    """The jobs in ``jobs.sqlite`` of a folder, by default diffinv's own."""

    def __init__(self, folder: Path | None = None) -> None:
        raise NotImplementedError

    def submit(self, request: InvertRequest | ApplyRequest, priority: int = 0) -> Job:
        """Put a request into the queue; the paths in it are made absolute."""
        raise NotImplementedError

    def jobs(self, states: Collection[State] | None = None) -> list[Job]:
        """All jobs, or those in some states: the running ones, the queue in its order, the rest
        from the latest to the oldest."""
        raise NotImplementedError

    def get(self, id: int) -> Job:
        """One job. Raises UsageError where there is none."""
        raise NotImplementedError

    def cancel(self, id: int) -> Job:
        """Take a job from the queue, or ask its worker to stop between two steps."""
        raise NotImplementedError

    def retry(self, id: int) -> Job:
        """A new job with the same request, from the beginning."""
        raise NotImplementedError

    def resume(self, id: int) -> Job:
        """Put a job that ended before its end back into the queue, to go on where it was."""
        raise NotImplementedError

    def move(self, id: int, up: bool) -> Job:
        """Let a queued job change places with its neighbour."""
        raise NotImplementedError

    def clear(self) -> int:
        """Forget all jobs that are done, failed or cancelled; their results stay. How many."""
        raise NotImplementedError

    @property
    def paused(self) -> bool:
        """Whether queued jobs wait for :meth:`set_paused`."""
        raise NotImplementedError

    @property
    def pause_reason(self) -> str | None:
        """Why the queue is paused, in one sentence."""
        raise NotImplementedError

    def set_paused(self, paused: bool) -> None:
        """Start no further job, or go on; the one that runs is left alone."""
        raise NotImplementedError

    @property
    def notice(self) -> str | None:
        """One sentence where the jobs' file was damaged and had to be set aside."""
        raise NotImplementedError

    def changes(self) -> tuple[int, int]:
        """A value that differs after anything has changed; cheap enough to ask ten times a second.

        Notices jobs whose worker has died, too.
        """
        raise NotImplementedError
