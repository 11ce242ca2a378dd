"""Follows a job in the foreground. The job does not depend on it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

import click

from ..errors import DiffinvError, UsageError
from .output import complain
from .progress import ProgressDisplay
from .ways_on import why_paused, why_stopped

if TYPE_CHECKING:
    from ..jobs.requests import ApplyRequest, InvertManyRequest, InvertRequest
    from ..jobs.store import Job, JobStore, State

_UNFINISHED: tuple[State, ...] = ("running", "queued")
_LOOK_EVERY = 0.1
_WORKER_EVERY = 1.0


def submit_and_follow(
    request: InvertRequest | InvertManyRequest | ApplyRequest,
    detach: bool = False,
    unsuited: Sequence[str] = (),
) -> Job:
    """Queue a request, make sure there is a worker, and wait for the job's end unless detached. An
    application that a job does already is not queued again: that job is followed.

    Before that, say why the model does not suit; the job's own warnings do not repeat it. Raises
    DiffinvError if the job came to nothing."""
    from ..jobs.launch import ensure_worker
    from ..jobs.store import JobStore
    from ..jobs.worker_environment import dismiss_stale_worker

    for warning in unsuited:
        complain(f"Warning: {warning}")
    store = JobStore()
    tell_news(store)
    dismiss_stale_worker(store, request.device)
    job = _twin(store, request) or store.submit(request)
    if store.notice:
        complain(store.notice)
    if detach:
        if store.is_stopped:
            complain(why_paused(store))
        ensure_worker(store)
        return job
    return follow(store, job.id, told=unsuited)


def _twin(store: JobStore, request: InvertRequest | InvertManyRequest | ApplyRequest) -> Job | None:
    """The job that does already what an application asks for, after saying so."""
    from ..jobs.requests import ApplyRequest

    job = store.same_as(request) if isinstance(request, ApplyRequest) else None
    if job:
        state = "running" if job.state == "running" else "waiting"
        complain(f"This is {state} already, as job {job.id}; it is not started twice.")
    return job


def tell_news(store: JobStore) -> None:
    """Say what was interrupted while nobody looked."""
    from ..jobs.counting import MANY, count

    news = [job for job in store.jobs(["interrupted"]) if job.is_news]
    for job in news:
        done = f"{count(job)} done. " if job.kind in MANY and count(job) else ""
        complain(f"While you were away: {done}{why_stopped(job) or job.title}")
    if news:
        store.set_told([job.id for job in news])


def follow(store: JobStore, id: int, told: Sequence[str] = ()) -> Job:
    """:func:`watch` a job, but for warnings that were told. Raises DiffinvError if it came to
    nothing, unless its pictures' failures say more."""
    job = watch(store, id, told)
    error = error_of(job)
    if error and not job.failures:
        raise error
    return job


def watch(store: JobStore, id: int, told: Sequence[str] = ()) -> Job:
    """Show a job's progress until it ends, but for warnings that were told. After Ctrl-C it goes on
    by itself."""
    with ProgressDisplay() as show:
        try:
            job = _watch(store, id, _Follower(store, show, told))
            store.set_told([id])
        except KeyboardInterrupt:
            complain(
                f"Job {id} goes on: 'diffinv jobs watch {id}' shows it, "
                f"'diffinv jobs cancel {id}' ends it."
            )
            raise click.Abort from None
    return job


def _watch(store: JobStore, id: int, follower: _Follower) -> Job:
    from ..jobs.launch import ensure_worker

    seen, looked = None, 0.0
    while True:
        if time.monotonic() - looked > _WORKER_EVERY:
            ensure_worker(store)
            looked = time.monotonic()
        if (version := store.changes()) != seen:
            seen = version
            job = store.get(id)
            follower.show(job)
            if job.is_finished:
                return job
        time.sleep(_LOOK_EVERY)


class _Follower:
    """Shows what has changed in a job."""

    def __init__(self, store: JobStore, show: ProgressDisplay, told: Sequence[str]) -> None:
        self._store, self._show, self._said = store, show, told
        self._warned, self._noted, self._told = 0, 0, ""

    def show(self, job: Job) -> None:
        """Show what has changed since the last call."""
        from ..jobs.counting import so_far
        from ..running.progress import Progress

        if job.state == "queued":
            self._tell(self._waiting(job))
            return
        for note in job.progress.notes[self._noted :]:
            self._show(Progress(job.progress.phase, note=note))
        self._noted = len(job.progress.notes)
        for warning in job.warnings[self._warned :]:
            if warning not in self._said:
                self._show(Progress(job.progress.phase, warning=warning))
        self._warned = len(job.warnings)
        now = job.progress
        if now.pictures:
            self._show(Progress(now.phase, round(1000 * job.share), 1000), so_far(job))
        elif now.phase:
            is_bytes = job.kind == "fetch"
            self._show(
                Progress(
                    now.phase, now.step, now.total, now.loss, now.rate, now.eta, is_bytes=is_bytes
                )
            )

    def _waiting(self, job: Job) -> str:
        """Why a job has not started, if that needs explaining."""
        if job.deaths:
            return "Its worker stopped unexpectedly; another one goes on with it."
        reason = why_paused(self._store)
        if reason and (job.held or self._store.is_stopped):
            return reason
        before = takewhile(lambda other: other.id != job.id, self._store.jobs(_UNFINISHED))
        ahead = sum(other.device == job.device and not other.held for other in before)
        return f"Waiting for {ahead} other job{'s' * (ahead > 1)}." if ahead else ""

    def _tell(self, sentence: str) -> None:
        if sentence and sentence != self._told:
            complain(sentence)
        self._told = sentence


def error_of(job: Job) -> DiffinvError | None:
    """Why an ended job is not done, with the exit code for a command that waited for it."""
    if job.state == "done":
        return None
    if job.state == "cancelled":
        again = f"'diffinv jobs resume {job.id}' goes on with it."
        return DiffinvError(why_stopped(job) or f"Job {job.id} was cancelled; {again}")
    return (UsageError if job.exit_code == 2 else DiffinvError)(
        why_stopped(job) or "The job failed."
    )
