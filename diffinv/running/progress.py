"""A task's progress: phases, steps, and what the user should know."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

LOADING = "Loading the models"
DESCRIBING = "Describing the pictures"
LEARNING = "Learning the difference"
WORDS = "Putting it into words"
PREVIEW = "Making the preview"
APPLYING = "Applying"


@dataclass(frozen=True)
class AppliedImage:
    """One result: B's file, the file B' was written to, and the seconds it took."""

    input: Path
    output: Path
    seconds: float


@dataclass(frozen=True)
class Progress:
    """One event of a running task: how far it is, or something the user should know (``warning``)
    or may want to (``note``).

    ``output`` is a result that has just been written. ``rate`` is in steps per second, ``eta`` in
    seconds to the end of the phase. ``pictures`` begins an application: how many results earlier
    runs made, and how many there will be in all. ``is_bytes``: the steps are bytes
    that are fetched.
    """

    phase: str
    step: int = 0
    total: int = 0
    loss: float | None = None
    rate: float | None = None
    eta: float | None = None
    warning: str | None = None
    output: AppliedImage | None = None
    note: str | None = None
    pictures: tuple[int, int] | None = None
    is_bytes: bool = False


OnProgress = Callable[[Progress], None]


class Meter:
    """Turns steps into progress events with rate and remaining time."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._emit = on_progress
        self.warnings: list[str] = []
        self._name, self._total, self._first, self._started = "", 0, 0, 0.0

    def phase(
        self,
        name: str,
        total: int = 0,
        losses: Sequence[float] = (),
        pictures: tuple[int, int] | None = None,
        first: int = 0,
    ) -> None:
        """A new phase begins, or resumes after the ``first`` steps or those whose losses are
        given."""
        self._name, self._total, self._first = name, total, first or len(losses)
        self._started = time.perf_counter()
        self._emit(Progress(name, first, total, pictures=pictures))
        for step, loss in enumerate(losses, 1):
            self._emit(Progress(name, step, total, loss))

    def step(self, step: int, loss: float | None = None) -> None:
        """Report how many steps of the phase are done."""
        rate = (step - self._first) / max(1e-9, time.perf_counter() - self._started)
        eta = (self._total - step) / rate if rate else None
        self._emit(Progress(self._name, step, self._total, loss, rate, eta))

    def warn(self, warning: str) -> None:
        """Something the user should know; the task goes on."""
        if warning not in self.warnings:
            self.warnings.append(warning)
            self._emit(Progress(self._name, warning=warning))

    def note(self, note: str) -> None:
        """Something the user may want to know."""
        self._emit(Progress(self._name, note=note))

    def wrote(self, output: AppliedImage) -> None:
        """A result has been written."""
        self._emit(Progress(self._name, output=output))


def ignore(_event: Progress) -> None:
    """Ignore an event."""
