"""A job as every front end sees it: a plain, frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..running.progress import AppliedImage
from .requests import ApplyRequest, InvertRequest

Kind = Literal["invert", "apply"]
State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]

FINISHED: tuple[State, ...] = ("done", "failed", "cancelled", "interrupted")
"""The states in which nothing more happens of itself; all but ``done`` can be resumed."""


@dataclass(frozen=True)
class JobProgress:
    """Where a job is. ``rate`` is steps a second, ``eta`` seconds to the end of the phase,
    ``memory_mb`` what the worker holds: of the GPU where it uses one, else of the machine.
    ``notes`` are what was said of the job before it began."""

    phase: str = ""
    step: int = 0
    total: int = 0
    rate: float | None = None
    eta: float | None = None
    loss: float | None = None
    memory_mb: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """One row of the queue. Times are unix seconds, texts are safe to print.

    ``losses`` is the curve so far, down-sampled. ``error`` is one sentence. ``failures`` has one
    for each picture of an application that could not be done; ``skipped`` counts those that had
    been done before and are among the ``outputs``. ``difference`` is (name, file) of what an
    inversion learned. ``preview`` is a picture that is replaced as learning goes on. ``held`` jobs
    wait until the queue is unpaused; ``waits_for`` is the job that has to be done first.
    ``attempts`` counts how often the job was started.
    """

    id: int
    kind: Kind
    title: str
    state: State
    request: InvertRequest | ApplyRequest
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

    @property
    def folder(self) -> Path:
        """What belongs to the job: log, checkpoint, preview. Its name is the job's for good; ids
        start again where a damaged job list had to be set aside."""
        return self.log.parent

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in FINISHED
