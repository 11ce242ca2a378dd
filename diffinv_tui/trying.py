"""One picture before all of them: what is asked for, and which of it there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from diffinv.jobs.request_json import absolute
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.sweeping import strength_folder, strengths_asked

if TYPE_CHECKING:
    from diffinv.jobs.store import Job

STRENGTHS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0)
"""The strengths of a sweep: undone, left alone, weaker, as learned, stronger."""

Asked = tuple[tuple[str, float], ...]
"""Differences by their files, each with a strength."""

_LOOKED_AT = 200
"""How many jobs, the newest first, are asked for results."""


def in_proportion(asked: Asked, strength: float) -> Asked:
    """The strongest difference at a strength, the others in proportion to it; all of them where
    none has a strength."""
    strongest = max((weight for _, weight in asked), key=abs, default=0.0)
    shares = [(name, weight / strongest if strongest else 1.0) for name, weight in asked]
    return tuple((name, round(share * strength, 4) + 0.0) for name, share in shares)


def trial(request: ApplyRequest, picture: Path, out: Path) -> ApplyRequest:
    """The same for one picture, with the strengths as they are."""
    return replace(request, images=(picture,), out=out, results=1, replace=False, sweep=(1.0,))


def sweep(request: ApplyRequest, picture: Path, out: Path) -> ApplyRequest:
    """The same for one picture at all strengths."""
    differences = in_proportion(request.differences, 1.0)
    one = trial(request, picture, out)
    return replace(one, differences=differences, sweep=STRENGTHS)


@dataclass(frozen=True)
class Step:
    """A strength, its result where there is one, what is said in its place, and whether the
    sliders stand there."""

    strength: float
    result: Path | None
    message: str = ""
    is_set: bool = False


@dataclass(frozen=True)
class Seen:
    """What is shown of a picture: its place among others and when a result that is missing comes,
    its result or the nearest one (None: ``message`` instead), what that is, and, where it was
    swept, what there is at each strength."""

    picture: Path
    place: str
    after: Path | None
    label: str
    message: str
    steps: tuple[Step, ...] = ()

    @property
    def files(self) -> list[Path]:
        """Everything to be opened, what is looked at first."""
        found = (self.picture, self.after, *(step.result for step in self.steps))
        return list(dict.fromkeys(path for path in found if path))


@dataclass(frozen=True)
class _Brought:
    """What a job has brought so far: ``how`` is its request without what differs between tries."""

    count: int
    how: object
    results: dict[tuple[Path, Asked], Path]


class Trials:
    """What jobs have brought, or will bring, for pictures at strengths, all else being equal."""

    def __init__(self) -> None:
        self._seen: dict[int, _Brought] = {}
        self._results: dict[tuple[Path, Asked], Path] = {}
        self._jobs: list[Job] = []

    def take(self, jobs: Iterable[Job], request: ApplyRequest | None) -> None:
        """The jobs as they are now, and what is asked for."""
        applying = [job for job in jobs if isinstance(job.request, ApplyRequest) and not job.damage]
        newest = sorted(applying, key=lambda job: job.id)[-_LOOKED_AT:]
        how = None if request is None else _how(request)
        self._seen = {job.id: self._see(job) for job in newest}
        self._jobs = [job for job in newest if self._seen[job.id].how == how]
        self._results = {}
        for job in self._jobs:
            self._results |= self._seen[job.id].results

    def _see(self, job: Job) -> _Brought:
        seen = self._seen.get(job.id)
        if seen is None or seen.count != len(job.outputs):
            assert isinstance(job.request, ApplyRequest)
            results = _results(job.request, job)
            seen = _Brought(len(job.outputs), seen.how if seen else _how(job.request), results)
        return seen

    def result(self, picture: Path, asked: Asked) -> Path | None:
        """The result of a picture at these strengths."""
        return self._results.get((picture.absolute(), asked))

    def job(self, picture: Path, asked: Asked) -> Job | None:
        """The latest job that tries the picture at these strengths."""
        for job in reversed(self._jobs):
            request = job.request
            assert isinstance(request, ApplyRequest)
            if request.sweep and request.images == (picture.absolute(),):
                names = [name for name, _ in request.differences]
                tried = (tuple(zip(names, s, strict=True)) for s in strengths_asked(request))
                if asked in tried:
                    return job
        return None

    def nearest(self, picture: Path, asked: Asked) -> tuple[Asked, Path] | None:
        """The result of a picture with these differences at the strengths nearest to those."""
        there = [
            (other, path)
            for (source, other), path in self._results.items()
            if source == picture.absolute() and _names(other) == _names(asked)
        ]
        return min(there, key=lambda one: _distance(one[0], asked), default=None)


def seen(
    trials: Trials, picture: Path, place: str, asked: Asked, looked_at: float | None = None
) -> Seen:
    """What is to be shown of a picture at strengths, or at the strength of its sweep that is
    looked at."""
    steps = _steps(trials, picture, asked)
    wanted = asked if looked_at is None else in_proportion(asked, looked_at)
    found = wanted, trials.result(picture, wanted)
    coming = _coming(trials.job(picture, wanted))
    if found[1] is None and looked_at is None:
        found = trials.nearest(picture, wanted) or found
    label = "After" if found[1] is None else f"After {_shown(found[0])}"
    if found[1] is not None and found[0] != wanted:
        place = f"{place}   {_shown(wanted)}: {coming}"
    return Seen(picture, place, found[1], label, coming, steps)


def _steps(trials: Trials, picture: Path, asked: Asked) -> tuple[Step, ...]:
    """What there is at each strength; nothing where only single ones were tried."""
    steps, swept = [], 0
    for strength in STRENGTHS:
        at = in_proportion(asked, strength)
        job, result = trials.job(picture, at), trials.result(picture, at)
        swept += result is not None or _is_sweep(job)
        steps.append(Step(strength, result, _coming(job), at == asked))
    return tuple(steps) if swept > 1 else ()


def _is_sweep(job: Job | None) -> bool:
    return job is not None and len(getattr(job.request, "sweep", ())) > 1


def _coming(job: Job | None) -> str:
    """When a result comes, or why it does not."""
    if job is None:
        return "not tried yet"
    progress = job.progress
    if job.state == "running":
        share = f" {progress.step}/{progress.total}" if progress.total else ""
        return f"{progress.phase or 'Beginning'}{share}"
    if job.state == "queued":
        return "waiting"
    return job.error or {"done": "failed"}.get(job.state, job.state)


def _names(asked: Asked) -> list[str]:
    return [name for name, _ in asked]


def _distance(one: Asked, other: Asked) -> float:
    return sum(abs(a - b) for (_, a), (_, b) in zip(one, other, strict=True))


def _shown(asked: Asked) -> str:
    return ", ".join(f"{strength:+g}" for _, strength in asked)


def _how(request: ApplyRequest) -> object:
    """What has to be the same of two requests for one's results to be the other's."""
    alike = replace(request, differences=(), images=(), out=Path(), sweep=(), device=None)
    return absolute(replace(alike, results=1, replace=False, batch=1))


def _results(request: ApplyRequest, job: Job) -> dict[tuple[Path, Asked], Path]:
    names = [name for name, _ in request.differences]
    folders = {strength_folder(s): s for s in strengths_asked(request)}
    found: dict[tuple[Path, Asked], Path] = {}
    for one in job.outputs:
        strengths: Sequence[float] | None = [strength for _, strength in request.differences]
        if request.sweep:
            strengths = folders.get(one.output.parent.name)
        if strengths is not None:
            key = one.input, tuple(zip(names, strengths, strict=True))
            found.setdefault(key, one.output)
    return found
