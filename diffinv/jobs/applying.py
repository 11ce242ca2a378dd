"""Carries out an application in batches of files; each result is written as it is made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiffinvError, UsageError
from ..pictures.reading import open_image
from ..pictures.writing import to_png
from ..running.editing import batch_size
from ..running.progress import APPLYING, AppliedImage, Meter
from ..system.files import atomic_create, atomic_write, numbered
from .manifest import Stamp, stamp_of
from .planning import ApplicationPlan
from .requests import ApplicationReport, ApplyRequest

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..api import Model


class Applier:
    """One application: its model, its differences, and the batches of its files."""

    def __init__(
        self, request: ApplyRequest, plan: ApplicationPlan, model: Model, meter: Meter
    ) -> None:
        self.request, self.plan, self.meter = request, plan, meter
        self.backbone = model.backbone
        self.batch = batch_size(len(plan.done) + len(plan.targets), max(1, request.batch))
        self.editing, self.prompting = model.editing(
            plan.differences, plan.editor, request.settings, self.batch, meter
        )
        if request.prompt_b is not None:
            self.prompting.check(request.prompt_b)
        self.failures: list[str] = []

    def run(self) -> ApplicationReport:
        """Work through all batches; report what was written and what failed."""
        batches = list(_batches(self.plan.targets, self.batch))
        self.meter.phase(APPLYING, len(batches) * self.request.settings.steps)
        outputs = [out for i, batch in enumerate(batches) for out in self._batch(i, batch)]
        return ApplicationReport(tuple(outputs), tuple(self.failures))

    def _batch(self, index: int, batch: Sequence[tuple[Path, Path]]) -> list[AppliedImage]:
        started = time.perf_counter()
        opened = [(*target, *one) for target in batch if (one := self._open(target[0]))]
        if not opened:
            return []
        images = [image for *_, image, _, _ in opened]
        given = [prompt for *_, prompt, _ in opened]
        results = self.editing.apply(index, images, given, self.prompting)
        seconds = round((time.perf_counter() - started) / len(opened), 3)
        return [
            self._keep(source, target, image, stamp, seconds)
            for (source, target, *_, stamp), image in zip(opened, results, strict=True)
        ]

    def _keep(
        self, source: Path, target: Path, image: Image, stamp: Stamp, seconds: float
    ) -> AppliedImage:
        """Write a result, under the next free number if its name has just been taken."""
        data, stale = to_png(image), self.plan.manifest.stale(source)
        for output in numbered(target):
            done = AppliedImage(source, output, seconds)
            self.plan.manifest.record(done, stamp)
            if self.request.replace:
                atomic_write(output, data)
                break
            if atomic_create(output, data):
                break
        self.meter.wrote(done)
        if stamp_of(source) != stamp:
            self.meter.warn(
                f"{source.name} or its prompt changed while its result was being made, which "
                "shows it as it was before; run the same again to renew it."
            )
        if stale and stale != done.output:
            self.meter.warn(
                f"{source.name} or its prompt has changed: its result is now {done.output.name}, "
                f"and {stale.name} is out of date; remove it, or run with --replace."
            )
        return done

    def _open(self, picture: Path) -> tuple[Image, str | None, Stamp] | None:
        """B framed for the backbone, its prompt if it has one, and the stamp of both at the time of
        reading; None if that failed."""
        stamp = stamp_of(picture)
        try:
            return self.editing.frame(open_image(picture)), self._prompt(picture), stamp
        except DiffinvError as error:
            self.failures.append(str(error))
            return None

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


def _text_beside(picture: Path) -> str | None:
    """The text of the ``.txt`` file beside a picture, None if there is none."""
    path = picture.with_suffix(".txt")
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8").split()) or None
    except (OSError, UnicodeDecodeError) as error:
        raise DiffinvError(f"The prompt file {str(path)!r} cannot be read as text.") from error


def _batches(
    targets: Sequence[tuple[Path, Path]], size: int
) -> Iterator[Sequence[tuple[Path, Path]]]:
    for start in range(0, len(targets), size):
        yield targets[start : start + size]
