"""Carries out requests: checks them, has a :class:`diffinv.api.Model` do the work, and keeps the
outcome: a difference in the library, results in their folder."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from ..api import Model
from ..difference import Difference
from ..engines import LOCAL, engine_of
from ..running.keeping import Keeper
from ..running.models import Models, deterministic
from ..running.progress import APPLYING, AppliedImage, Meter, OnProgress, ignore
from ..storage.store import Library
from ..system.paths import library_folder
from .applying import Applier, BatchMaker
from .checkpointing import Checkpoints
from .elsewhere import bring_lost
from .loading import model_of
from .planning import ApplicationPlan, plan_application, plan_inversion
from .requests import ApplicationReport, ApplyRequest, InvertRequest
from .result_files import ResultFiles
from .sending import Results, results_of
from .spreading import apply_on
from .workspace import JOB_KEY, Workspace


def run_inversion(
    request: InvertRequest,
    on_progress: OnProgress = ignore,
    models: Models | None = None,
    workspace: Workspace | None = None,
) -> tuple[Difference, Path]:
    """Learn a difference and add it to the library; return the difference and its file.

    Everything is checked before a model is loaded. The same request on the same machine gives
    the same tokens, bit for bit, even if it was interrupted and goes on in the same ``workspace``.
    """
    started = time.perf_counter()
    library = Library(request.library or library_folder())
    if workspace and (found := workspace.find_result(library)):
        return library.load(found.path), found.path
    plan = plan_inversion(request)
    meter = Meter(on_progress)
    for warning in (
        *plan.lesson.warnings,
        *plan.unsuited,
    ):  # torch will report on the device itself
        meter.warn(warning)
    model = model_of(request, plan, models or Models(), meter)
    keeper = Checkpoints(workspace, meter, started) if workspace else Keeper(started)
    (difference,) = model.learn([plan.lesson], request.settings, meter, keeper)
    if workspace:
        extra = {**difference.info.extra, JOB_KEY: workspace.folder.name}
        difference = replace(difference, info=replace(difference.info, extra=extra))
    entry = plan.library.add(difference)
    info = entry.info or difference.info
    return replace(difference, info=info), entry.path


def run_application(
    request: ApplyRequest,
    on_progress: OnProgress = ignore,
    models: Models | None = None,
    resumed: bool = False,
) -> ApplicationReport:
    """Apply differences to pictures, batch by batch; every result is written as it is made.

    A picture that fails is reported, and the others go on. Those that an earlier run with the same
    request finished are not done again.
    """
    bring_lost(request)
    elsewhere = results_of(request)
    if elsewhere:
        elsewhere.sync()
    plan = plan_application(request, resumed)
    meter = Meter(on_progress)
    for sentence in (*plan.left_out, *plan.unsuited):
        meter.warn(sentence)
    for output in plan.done:
        meter.wrote(output)
    if not plan.targets:
        failures = [*plan.failures, *(elsewhere.finish() if elsewhere else [])]
        return ApplicationReport(plan.done, tuple(failures), len(plan.done))
    if request.on != LOCAL:
        outputs, failures = apply_on(engine_of(request.on), request, plan, meter, elsewhere)
    else:
        model = model_of(request, plan, models or Models(), meter)
        outputs, failures = _all_rounds(request, plan, model, meter, elsewhere)
    failures += elsewhere.finish() if elsewhere else []
    return ApplicationReport((*plan.done, *outputs), tuple(failures), len(plan.done))


def _all_rounds(
    request: ApplyRequest,
    plan: ApplicationPlan,
    model: Model,
    meter: Meter,
    elsewhere: Results | None,
) -> tuple[list[AppliedImage], list[str]]:
    """What was written and what failed, seed after seed."""
    with deterministic(request.settings.seed, model.device):
        rounds = [
            Applier(
                BatchMaker(request, plan, one, model, meter),
                ResultFiles(request, one.manifest, meter, elsewhere),
            )
            for one in plan.rounds
            if one.targets
        ]
    batches = [len(one.maker.batches) for one in rounds]
    meter.phase(APPLYING, sum(batches) * request.settings.steps, pictures=plan.count)
    outputs: list[AppliedImage] = []
    for number, one in enumerate(rounds):
        with deterministic(one.maker.settings.seed, model.device):
            outputs += one.run(sum(batches[:number]))
    failures = dict.fromkeys(failure for one in rounds for failure in one.maker.files.failures)
    return outputs, list(failures)
