"""How long an application will take, by how long others took."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from ..difference import read_info
from ..errors import DiffinvError
from ..running.devices import device_key
from ..storage.store import Library
from ..system.paths import library_folder
from .job import Job
from .planning import ApplicationPlan
from .requests import ApplyRequest

_LATEST = 5
"""How many earlier applications count: machines and versions change."""


def expected_seconds(
    jobs: Sequence[Job], request: ApplyRequest, plan: ApplicationPlan
) -> float | None:
    """Seconds for what a plan leaves to do, loading included; None where no earlier job with this
    model, on this device and with these settings, has made a picture. ``jobs`` are in the store's
    order, the newest first."""
    like: list[Job] = []
    for job in jobs:
        if len(like) < _LATEST and job.outputs and _is_alike(job, request, plan):
            like.append(job)
    if not like or not plan.targets:
        return None
    a_step = statistics.median(pace for job in like for pace in _paces(job))
    return _loading(like) + len(plan.targets) * request.settings.steps * a_step


def _is_alike(job: Job, request: ApplyRequest, plan: ApplicationPlan) -> bool:
    if not isinstance(job.request, ApplyRequest) or job.device != device_key(request.device):
        return False
    return _kind(job.request) == _kind(request) and _backbone(job.request) == plan.backbone.spec.id


def _kind(request: ApplyRequest) -> tuple[str, ...]:
    """What decides how long a step takes, beside model and device."""
    return request.settings.editor, request.detail, request.on


def _backbone(request: ApplyRequest) -> str | None:
    """The id of the model that a request was for, None if nobody knows any more."""
    if request.backbone:
        return request.backbone.partition("=")[0]
    library = Library(request.library or library_folder())
    try:
        return read_info(library.find(request.differences[0][0])).backbone
    except DiffinvError:
        return None


def _paces(job: Job) -> Iterator[float]:
    """Seconds a picture took for each of its steps."""
    assert isinstance(job.request, ApplyRequest)
    for output in job.outputs:
        yield output.seconds / job.request.settings.steps


def _loading(jobs: Sequence[Job]) -> float:
    """Seconds that such jobs took beside their pictures."""
    beside = [
        job.finished - job.started - sum(output.seconds for output in job.outputs[job.skipped :])
        for job in jobs
        if job.finished and job.started and job.state == "done"
    ]
    return max(0.0, statistics.median(beside)) if beside else 0.0
