"""Carries out a round of an application, batch by batch; each result is written as it is made.

While the model works on a batch, the next one is read and those before it are written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiffinvError, UsageError
from ..pictures.reading import upright_size
from ..pictures.sizes import OFF
from ..running.editing import batches
from ..running.progress import AppliedImage, Meter
from ..running.prompting import Prompt
from .picture_files import Made, Opened, PictureFiles
from .planning import ApplicationPlan, Round
from .requests import ApplyRequest
from .result_files import ResultFiles

if TYPE_CHECKING:
    from ..api import Model
    from ..pictures.framing import Size
    from ..pictures.photograph import Sharpen

_BEHIND = 2
"""How many batches may wait to be written."""


@dataclass(frozen=True)
class Batch:
    """Targets that are computed at once, the size at which the backbone sees them, and how many are
    computed with copies of the last."""

    targets: tuple[tuple[Path, Path], ...]
    size: Size
    at_once: int


class BatchMaker:
    """The model's part in one round of an application: cuts it into batches, and turns a batch into
    results that are ready to be written."""

    def __init__(
        self, request: ApplyRequest, plan: ApplicationPlan, round: Round, model: Model, meter: Meter
    ) -> None:
        self.request, self.round, self.backbone = request, round, model.backbone
        self.settings = replace(request.settings, seed=round.seed)
        self.editing, self.prompting = model.editing(
            round.differences, plan.editor, self.settings, meter
        )
        if request.prompt_b is not None:
            self.prompting.check(request.prompt_b)
        self.detail = None if request.detail == OFF else self.editing.detail
        self.files = PictureFiles(
            request, round.differences, plan.added, round.manifest, self.editing, meter
        )

    @cached_property
    def batches(self) -> list[Batch]:
        """What is left to do."""
        targets = self.round.targets
        left = [self._seen_size(picture) for picture, _ in targets]
        everything = left + [self._seen_size(done.input) for done in self.round.done]
        most = max(1, self.request.batch)
        return [
            Batch(
                tuple(targets[i] for i in places),
                left[places[0]],
                most if self.request.fill else at_once,
            )
            for places, at_once in batches(left, everything, most)
        ]

    def read(self, batch: Batch) -> list[Opened]:
        """The pictures of a batch that open."""
        found = (self.files.open(*target, batch.size) for target in batch.targets)
        return [one for one in found if one]

    def compute(self, done: int, batch: Batch, opened: list[Opened]) -> list[Made]:
        """What becomes of the pictures of a batch, ``done`` of which went before it."""
        started = time.perf_counter()
        given = self._prompts(opened)
        if not given:
            return []
        pictures = list(given)
        masks = [one.mask for one in pictures if one.mask] or None
        changes, prompts = self.editing.apply(
            done,
            [one.seen for one in pictures],
            list(given.values()),
            self.prompting,
            batch.at_once,
            masks,
        )
        seconds = round((time.perf_counter() - started) / len(pictures), 3)
        at_once = self.editing.at_once(batch.at_once)
        return [
            Made(one, change, prompt, at_once, seconds, self._sharpen(one, prompt))
            for one, change, prompt in zip(pictures, changes, prompts, strict=True)
        ]

    def _seen_size(self, picture: Path) -> Size:
        """The size at which the backbone will see a picture."""
        size = (1, 1)
        if getattr(self.backbone, "size_multiple", None) is not None:
            size = upright_size(picture) or size
        return self.editing.seen_size(size)

    def _sharpen(self, one: Opened, prompt: Prompt) -> Sharpen | None:
        detail, seen = self.detail, one.seen.size
        if detail is None:
            return None
        return lambda picture, mask: detail.sharpened(picture, mask, seen, prompt)

    def _prompts(self, opened: list[Opened]) -> dict[Opened, str | None]:
        """Those pictures whose prompts can be had, with the prompts that the user gave."""
        found: dict[Opened, str | None] = {}
        for one in opened:
            try:
                found[one] = self._prompt(one.source)
            except DiffinvError as error:
                self.files.failures.append(str(error))
        return found

    def _prompt(self, picture: Path) -> str | None:
        """The prompt the user gave for a picture, None if it is to be made.

        Raises DiffinvError if it is too long, or if there is nothing to make one with.
        """
        if self.request.prompt_b is not None:
            return self.request.prompt_b
        prompt = _text_beside(picture)
        if prompt:
            self.prompting.check(prompt)
        elif not self.prompting.can_make:
            raise UsageError(
                f"The backbone {self.backbone.id!r} names no captioner: say with --prompt-b, or "
                f"in {picture.with_suffix('.txt').name!r} beside it, what {str(picture)!r} shows."
            )
        return prompt


class Applier:
    """One round of an application in this process."""

    def __init__(self, maker: BatchMaker, results: ResultFiles) -> None:
        self.maker, self._results = maker, results

    def run(self, before: int) -> list[AppliedImage]:
        """Work through all batches, ``before`` of which went before them in other rounds; what was
        written."""
        written: list[Future[list[AppliedImage]]] = []
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            pairs = zip(self.maker.batches, self._read_ahead(reader), strict=True)
            for done, (batch, opened) in enumerate(pairs, before):
                made = self.maker.compute(done, batch, opened)
                written.append(writer.submit(self._keep, made))
                if self.maker.detail:  # which needs the model, as the next batch does
                    written[-1].result()
                for late in written[-1 - _BEHIND : -_BEHIND]:
                    late.result()
            return [output for one in written for output in one.result()]

    def _read_ahead(self, reader: ThreadPoolExecutor) -> Iterator[list[Opened]]:
        """The pictures of each batch, read while the batch before it is worked on."""

        read = self.maker.read
        coming = [reader.submit(read, batch) for batch in self.maker.batches[:1]]
        for after in self.maker.batches[1:]:
            ready = coming.pop()
            coming.append(reader.submit(read, after))
            yield ready.result()
        if coming:
            yield coming.pop().result()

    def _keep(self, made: list[Made]) -> list[AppliedImage]:
        finished = (self.maker.files.finish(one) for one in made)
        return [self._results.write(one) for one in finished if one]


def _text_beside(picture: Path) -> str | None:
    """The text of the ``.txt`` file beside a picture, None if there is none."""
    path = picture.with_suffix(".txt")
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8").split()) or None
    except (OSError, UnicodeDecodeError) as error:
        raise DiffinvError(f"The prompt file {str(path)!r} cannot be read as text.") from error
