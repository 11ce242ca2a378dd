"""A job as front ends see it: a plain, frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..running.progress import AppliedImage
from .requests import Request

Kind = Literal["invert", "invert-many", "apply", "fetch"]
State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]

FINISHED: tuple[State, ...] = ("done", "failed", "cancelled", "interrupted")
"""The states in which nothing more happens by itself; all but ``done`` can be resumed."""


@dataclass(frozen=True)
class JobProgress:
    """A job's progress. ``rate`` is in steps per second, ``eta`` in seconds to the end of the
    phase; the steps of a job that fetches are bytes. ``memory_mb`` is the memory the worker holds:
    on the GPU if it uses one, else in the machine. ``notes`` are those given before the job began.
    ``pictures`` are the results that an application makes in all, 0 while that is not known.
    ``share`` is how much of the job is done, from 0 to 1: it never falls, however often the job is
    interrupted."""

    phase: str = ""
    step: int = 0
    total: int = 0
    rate: float | None = None
    eta: float | None = None
    loss: float | None = None
    memory_mb: float | None = None
    notes: list[str] = field(default_factory=list)
    pictures: int = 0
    share: float | None = None


@dataclass(frozen=True)
class Job:
    """One row of the queue. Times are Unix seconds, texts are safe to print.

    ``losses`` is the curve so far, down-sampled. ``error`` is one sentence. ``failures`` has one
    sentence for each picture of an application that failed; ``skipped`` counts the ``outputs`` that
    an earlier run had made. ``difference`` is (name, file) of what an inversion learned.
    ``preview`` is a picture that is replaced as learning goes on. ``held`` jobs wait until the
    queue is unpaused; ``waits_for`` is the job that has to be done first. ``attempts`` counts how
    often the job was started, ``deaths`` how many workers died of it since it last wrote a picture
    or was resumed. ``is_news``: nobody has been told yet that it ended or its worker died.
    ``damage`` is one sentence if its row cannot be read; such a job can only be cancelled and
    forgotten.
    """

    id: int
    kind: Kind
    title: str
    state: State
    request: Request
    device: str
    created: float
    log: Path
    started: float | None = None
    finished: float | None = None
    progress: JobProgress = field(default_factory=JobProgress)
    losses: list[float] = field(default_factory=list)
    error: str | None = None
    exit_code: int = 1
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    outputs: list[AppliedImage] = field(default_factory=list)
    skipped: int = 0
    difference: tuple[str, Path] | None = None
    preview: Path | None = None
    priority: int = 0
    held: bool = False
    waits_for: int | None = None
    cancelling: bool = False
    attempts: int = 0
    deaths: int = 0
    is_news: bool = False
    damage: str | None = None

    @property
    def folder(self) -> Path:
        """The folder with the job's log, checkpoint and preview. Its name is never used again,
        unlike ids, which start over when a damaged job list is set aside."""
        return self.log.parent

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in FINISHED

    @property
    def share(self) -> float:
        """How much of the job is done, from 0 to 1."""
        now = self.progress
        if now.share is not None:
            return min(1.0, max(0.0, now.share))
        return min(1.0, now.step / now.total) if now.total > 0 else 0.0
