"""Many differences learned in one job, on all machines of an engine; each is kept as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..api import Model
from ..difference import Difference, read_info
from ..engines import LOCAL, engine_of
from ..errors import DiffinvError
from ..pictures.reading import pixel_hash, read_picture
from ..running.editing import batches
from ..running.lesson import read_lesson
from ..running.models import Models, choose_device, deterministic
from ..running.progress import LEARNING, LOADING, Meter, OnProgress, Progress, ignore
from ..storage.store import Library
from .planning import inversion_parts, name_of, open_library
from .requests import InvertManyRequest, InvertRequest

Batch = Sequence[InvertRequest]
Outcome = Difference | str
"""A difference, or why there is none."""

_LEARNING = "Learning the differences"

OnSteps = Callable[[int], None]
"""Called with how many steps of a batch's differences are done, all together."""


class InversionWork:
    """A worker, wherever it is: learns one batch after another with the model of the first
    request."""

    def __init__(
        self,
        first: InvertRequest,
        on_steps: OnSteps | None = None,
        models: Models | None = None,
    ) -> None:
        self._on_steps = on_steps
        device = choose_device(first.device)
        models = models or Models()
        models.use_memory(first.memory)
        with deterministic(first.settings.seed, device):
            self._model = Model(*inversion_parts(first), device, models)

    def __call__(self, batch: Batch) -> list[Outcome]:
        """What becomes of each request. If several fail together, each is tried alone."""
        if len(batch) > 1:
            try:
                return self._together(batch)
            except DiffinvError:
                return [self._alone(request) for request in batch]
        return [self._alone(request) for request in batch]

    def _alone(self, request: InvertRequest) -> Outcome:
        try:
            return self._together([request])[0]
        except DiffinvError as error:
            return str(error)

    def _together(self, batch: Batch) -> list[Outcome]:
        """Only pictures that the model sees at one size go together."""
        from ..method import answers

        lessons = [read_lesson(name_of(one), one.pairs, one.captions, one.tags) for one in batch]
        settings = batch[0].settings
        sizes = [
            answers.seen_size(self._model.backbone, one.pictures[0][0].size, settings.side)
            for one in lessons
        ]
        found: dict[int, Outcome] = {}
        for rows, _ in batches(sizes, sizes, len(batch)):
            meter = Meter(self._heard(len(found), len(rows)))
            learned = self._model.learn([lessons[row] for row in rows], settings, meter)
            found.update(zip(rows, learned, strict=True))
        return [found[row] for row in range(len(batch))]

    def _heard(self, before: int, count: int) -> OnProgress:
        """Turns the steps of ``count`` lessons into those since the batch began."""
        on_steps = self._on_steps
        if on_steps is None:
            return ignore

        def hear(event: Progress) -> None:
            if event.phase == LEARNING and event.total:
                on_steps(event.total * before + event.step * count)

        return hear


def learn_many(
    request: InvertManyRequest, on_progress: OnProgress, models: Models | None = None
) -> list[str]:
    """Learn every difference and add it to the library as it arrives; the faults.

    Tokens are those that each request alone would give, bit for bit on devices of the same kind if
    ``batch`` is 1, else up to rounding.
    """
    progress = _Progress(request, on_progress)
    library = open_library(request.requests[0].library)
    left = [batch for batch in _cut(request) if not all(is_learned(library, x) for x in batch)]
    without = next((x for x in request.requests if not x.captions), request.requests[0])
    own = () if request.on != LOCAL else (progress.within, models)
    faults: list[str] = []
    on_progress(Progress(LOADING))
    with engine_of(request.on).started(partial(InversionWork, without, *own)) as pool:
        progress.begin(len(request.requests) - sum(map(len, left)))
        for place, outcomes in pool.run(left):
            faults += _keep(library, left[place], outcomes)
            progress.learned(outcomes)
    return faults


def _cut(request: InvertManyRequest) -> Iterator[Batch]:
    """The batches, the same ones whatever is learned already: a difference's last bits depend on
    what it was learned with."""
    for start in range(0, len(request.requests), request.batch):
        yield request.requests[start : start + request.batch]


def _keep(library: Library, batch: Batch, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Add what was learned; yields the faults."""
    for request, found in zip(batch, outcomes, strict=True):
        if not isinstance(found, Difference):
            yield f"{name_of(request)}: {found}"
        elif not is_learned(library, request):
            library.add(found)


class _Progress:
    """Counts in steps of all differences, so that it moves within a batch."""

    def __init__(self, request: InvertManyRequest, on_progress: OnProgress) -> None:
        self.done = 0
        self._steps = request.requests[0].settings.steps
        self._count = len(request.requests)
        self._meter = Meter(on_progress)

    def begin(self, done: int) -> None:
        """So many were learned before."""
        self.done = done
        self._meter.phase(_LEARNING, self._count * self._steps, first=done * self._steps)

    def within(self, steps: int) -> None:
        """So many steps of the batch at work are done."""
        self._meter.step(self.done * self._steps + steps)

    def learned(self, outcomes: Sequence[Outcome]) -> None:
        """A batch is done."""
        self.done += len(outcomes)
        self._meter.step(self.done * self._steps)
        for found in outcomes:
            if isinstance(found, str):
                continue
            for warning in found.info.warnings:
                self._meter.warn(f"{found.info.name}: {warning}")


def is_learned(library: Library, request: InvertRequest) -> bool:
    """Whether the library has a difference of the request's name from the same pictures. Raises
    DiffinvError if it has one of that name from others."""
    name = name_of(request)
    if not library.has(name, exactly=True):
        return False
    info = read_info(library.find(name))
    hashes = tuple(
        (pixel_hash(read_picture(a, "A")), pixel_hash(read_picture(b, "A′")))
        for a, b in request.pairs
    )
    if info.pair_hashes == hashes:
        return True
    raise DiffinvError(
        f"The library already has a difference {name!r}, from other pictures; give the row another "
        "id."
    )
