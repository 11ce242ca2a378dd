"""An application on many machines: workers compute batches, this process writes the results.

Batches are cut as they would be here, so that a result is the same wherever it was computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..engines import Engine
from ..running.models import Models, deterministic
from ..running.progress import APPLYING, LOADING, AppliedImage, Meter, Progress
from .applying import Batch, BatchMaker
from .elsewhere import bring_for, bring_masks
from .loading import model_of
from .picture_files import Finished
from .planning import ApplicationPlan
from .requests import ApplyRequest
from .result_files import ResultFiles
from .sending import Results

_CUT = None
"""The task of cutting all rounds into batches, which takes a model that knows its sizes."""


@dataclass(frozen=True)
class _Outcome:
    """What became of a batch, and what was said about it."""

    finished: list[Finished]
    failures: list[str]
    warnings: list[str]


class BatchWork:
    """A worker, wherever it is: its model stays loaded from one batch to the next."""

    def __init__(self, request: ApplyRequest, plan: ApplicationPlan) -> None:
        bring_masks(request)
        self._request, self._plan = request, plan
        self._warnings: list[str] = []
        meter = Meter(self._hear)
        model = model_of(request, plan, Models(), meter)
        self._device = model.device
        with deterministic(request.settings.seed, self._device):
            self._makers = [BatchMaker(request, plan, one, model, meter) for one in plan.rounds]

    def __call__(self, task: tuple[int, Batch] | None) -> list[list[Batch]] | _Outcome:
        """Cut the rounds, or compute a round's batch."""
        if task is _CUT:
            named = [picture for picture, _ in self._plan.targets]
            bring_for(self._request, [*named, *(one.input for one in self._plan.done)])
            return [maker.batches for maker in self._makers]
        number, batch = task
        bring_for(self._request, [picture for picture, _ in batch.targets])
        maker = self._makers[number]
        maker.files.failures.clear()
        self._warnings.clear()
        with deterministic(maker.settings.seed, self._device):
            made = maker.compute(0, batch, maker.read(batch))
            finished = [one for one in map(maker.files.finish, made) if one]
        return _Outcome(finished, list(maker.files.failures), list(self._warnings))

    def _hear(self, event: Progress) -> None:
        if event.warning:
            self._warnings.append(event.warning)


def apply_on(
    engine: Engine,
    request: ApplyRequest,
    plan: ApplicationPlan,
    meter: Meter,
    elsewhere: Results | None = None,
) -> tuple[list[AppliedImage], list[str]]:
    """What was written and what failed. Every result is written once, by this process, as it
    arrives; a batch whose machine dies is computed again by another."""
    files = [ResultFiles(request, one.manifest, meter, elsewhere) for one in plan.rounds]
    outputs: list[AppliedImage] = []
    failures: dict[str, None] = {}
    meter.phase(LOADING)
    with engine.started(partial(BatchWork, request, plan)) as pool:
        ((_, rounds),) = pool.run([_CUT])
        tasks = [(number, batch) for number, cut in enumerate(rounds) for batch in cut]
        meter.phase(APPLYING, len(tasks) * request.settings.steps, pictures=plan.count)
        done = 0

        def tick() -> None:
            meter.step(done * request.settings.steps)

        for place, outcome in pool.run(tasks, tick):
            done += 1
            outputs += [files[tasks[place][0]].write(one) for one in outcome.finished]
            failures |= dict.fromkeys(outcome.failures)
            for warning in outcome.warnings:
                meter.warn(warning)
            meter.step(done * request.settings.steps)
    return outputs, list(failures)
