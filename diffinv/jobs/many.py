"""Many differences learned in one job, on all machines of an engine; each is kept as it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..api import Model
from ..difference import Difference
from ..engines import LOCAL, engine_of
from ..errors import DiffinvError
from ..method.settings import check_settings
from ..pictures.reading import pixel_hash, read_picture
from ..running.editing import batches
from ..running.lesson import read_lesson
from ..running.models import Models, choose_device, deterministic
from ..running.progress import LEARNING, LOADING, AppliedImage, Meter, OnProgress, Progress, ignore
from ..storage.store import Entry, Library, slug
from .planning import inversion_parts, name_of, open_library
from .requests import InvertManyRequest, InvertRequest

_LEARNING = "Learning the differences"

Batch = Sequence[InvertRequest]
Outcome = Difference | str
"""A difference, or why there is none."""

Standing = Entry | str | None
"""Where the library has a difference, why it cannot be learned, or None if it is to be learned."""

OnSteps = Callable[[int], None]
"""Called with how many steps of a batch's differences are done, all together."""


@dataclass(frozen=True)
class ManyReport:
    """What became of all requests: a sentence for each that failed; ``kept`` are in the library
    now, ``skipped`` of them were before."""

    kept: int
    skipped: int
    failures: list[str]


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
                pass
        return [self._alone(request, place) for place, request in enumerate(batch)]

    def _alone(self, request: InvertRequest, place: int) -> Outcome:
        try:
            return self._together([request], place)[0]
        except DiffinvError as error:
            return str(error)

    def _together(self, batch: Batch, before: int = 0) -> list[Outcome]:
        """Only pictures that the model sees at one size go together. ``before`` this, so many of
        the task were learned."""
        from ..method import answers

        lessons = [read_lesson(name_of(one), one.pairs, one.captions, one.tags) for one in batch]
        settings = batch[0].settings
        sizes = [
            answers.seen_size(self._model.backbone, one.pictures[0][0].size, settings.side)
            for one in lessons
        ]
        found: dict[int, Outcome] = {}
        for rows, _ in batches(sizes, sizes, len(batch)):
            meter = Meter(self._heard(settings.steps, before + len(found), len(rows)))
            learned = self._model.learn([lessons[row] for row in rows], settings, meter)
            found.update(zip(rows, learned, strict=True))
        return [found[row] for row in range(len(batch))]

    def _heard(self, steps: int, before: int, count: int) -> OnProgress:
        """Turns what happens to ``count`` lessons into steps since the task began. Whoever hears of
        them may end the work, in whatever phase it is."""
        on_steps = self._on_steps
        if on_steps is None:
            return ignore
        done = 0

        def hear(event: Progress) -> None:
            nonlocal done
            done = event.step if event.phase == LEARNING else done
            on_steps(steps * before + done * count)

        return hear


def learn_many(
    request: InvertManyRequest, on_progress: OnProgress, models: Models | None = None
) -> ManyReport:
    """Learn every difference and add it to the library as it arrives.

    Tokens are those that each request alone would give, bit for bit on devices of the same kind if
    ``batch`` is 1, else up to rounding. A request that cannot be learned does not harm the others.
    """
    first = request.requests[0]
    check_settings(first.settings)
    library = open_library(first.library)
    before = standings(library, request.requests)
    failures = [one for one in before if isinstance(one, str)]
    progress = _Progress(request, on_progress)
    progress.begin([one for one in before if isinstance(one, Entry)], len(failures))
    left = list(_cut(before, request.batch))
    tasks = [[request.requests[row] for row in rows] for rows in left]
    if tasks:
        without = next((x for x in request.requests if not x.captions), first)
        own = () if request.on != LOCAL else (progress.within, models)
        with engine_of(request.on).started(partial(InversionWork, without, *own)) as pool:
            progress.start()
            for place, outcomes in pool.run(tasks, progress.again):
                for row, found in zip(left[place], outcomes, strict=True):
                    if before[row] is None:
                        failures += _keep(library, request.requests[row], found, progress)
                progress.settle(len(outcomes))
    return ManyReport(progress.kept, progress.skipped, failures)


def standings(library: Library, requests: Sequence[InvertRequest]) -> list[Standing]:
    """How it is with each request before anything is learned."""
    entries = library.entries()
    known = {entry.name: entry for entry in entries}
    files = {entry.path.stem for entry in entries}
    return [_standing(one, known, files) for one in requests]


def _standing(request: InvertRequest, known: Mapping[str, Entry], files: set[str]) -> Standing:
    try:
        name = name_of(request)
        if entry := known.get(name):
            return _if_the_same(entry, request)
        if slug(name) in files:
            raise DiffinvError(
                f"The library has a file {slug(name)!r} already; give the row another id."
            )
        read_lesson(name, request.pairs, request.captions)
    except DiffinvError as error:
        return f"{request.name or 'a pair'}: {error}"
    return None


def _if_the_same(entry: Entry, request: InvertRequest) -> Entry:
    """The entry, if it was learned from the request's pictures. Raises DiffinvError if not."""
    hashes = tuple(
        (pixel_hash(read_picture(a, "A")), pixel_hash(read_picture(b, "A′")))
        for a, b in request.pairs
    )
    if entry.info is None or entry.info.pair_hashes != hashes:
        raise DiffinvError(
            f"The library already has a difference {entry.name!r}, from other pictures; give the "
            "row another id."
        )
    return entry


def _cut(before: Sequence[Standing], batch: int) -> Iterator[list[int]]:
    """The rows of each batch: all that can be learned, whatever is learned already, since a
    difference's last bits depend on what it was learned with; none where all of them are."""
    for start in range(0, len(before), batch):
        rows = range(start, min(start + batch, len(before)))
        if any(before[row] is None for row in rows):
            yield [row for row in rows if not isinstance(before[row], str)]


def _keep(
    library: Library, request: InvertRequest, found: Outcome, progress: _Progress
) -> Iterator[str]:
    """Add what was learned; yields the fault if there is one."""
    if isinstance(found, str):
        yield f"{name_of(request)}: {found}"
        return
    try:
        progress.keep(request, _added(library, request, found))
    except DiffinvError as error:
        yield f"{name_of(request)}: {error}"


def _added(library: Library, request: InvertRequest, found: Difference) -> Entry:
    """The entry of what was learned, also if somebody else has brought the same meanwhile."""
    try:
        return library.add(found, free_name=False)
    except DiffinvError:
        known = {entry.name: entry for entry in library.entries()}
        if entry := known.get(name_of(request)):
            return _if_the_same(entry, request)
        raise


class _Progress:
    """Counts steps, so that it moves within a batch, and differences that are in the library."""

    def __init__(self, request: InvertManyRequest, on_progress: OnProgress) -> None:
        self.kept = self.skipped = 0
        self._request, self._tell = request, on_progress
        self._meter = Meter(on_progress)
        self._each = request.requests[0].settings.steps
        self._settled, self._step = 0, 0

    def begin(self, there: Sequence[Entry], failed: int) -> None:
        """What the library has, and how many cannot be learned."""
        of = {one.name: one for one in self._request.requests}
        for entry in there:
            self.keep(of.get(entry.name, self._request.requests[0]), entry)
        self.skipped, self._settled = len(there), len(there) + failed
        self._step = self._settled * self._each
        pictures = len(there), len(self._request.requests) - failed
        self._tell(Progress(LOADING, pictures=pictures))

    def start(self) -> None:
        """The model is there."""
        total = len(self._request.requests) * self._each
        self._meter.phase(_LEARNING, total, first=self._step)

    def within(self, steps: int) -> None:
        """So many steps of the batch at work are done."""
        self._step = max(self._step, self._settled * self._each + steps)
        self.again()

    def again(self) -> None:
        """Nothing new; whoever hears of it may end the work."""
        self._meter.step(self._step)

    def keep(self, request: InvertRequest, entry: Entry) -> None:
        """A difference is in the library."""
        self.kept += 1
        seconds = entry.info.seconds if entry.info else 0.0
        self._meter.wrote(AppliedImage(Path(request.pairs[0][0]), entry.path, seconds))
        for warning in entry.info.warnings if entry.info else ():
            self._meter.warn(f"{entry.name}: {warning}")

    def settle(self, count: int) -> None:
        """A batch is done, whatever became of it."""
        self._settled = min(len(self._request.requests), self._settled + count)
        self._step = max(self._step, self._settled * self._each)
        self.again()
