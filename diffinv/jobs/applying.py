"""Carries out an application: batches of pictures, each result written as it is made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import DiffinvError
from ..pictures.framing import fit_square
from ..pictures.reading import open_image
from ..pictures.writing import to_png
from ..running.models import Models
from ..running.progress import APPLYING, AppliedImage, Meter
from ..running.prompting import Prompting
from ..system.files import atomic_create, atomic_write, numbered
from ..system.text import plural
from .planning import ApplicationPlan
from .requests import ApplicationReport, ApplyRequest

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import Backbone, DiffTokens, TokenSpace
    from ..difference import Difference


class Applier:
    """One application: its models, and the batches of its pictures."""

    def __init__(
        self,
        request: ApplyRequest,
        plan: ApplicationPlan,
        device: str,
        models: Models,
        meter: Meter,
    ) -> None:
        self.request, self.plan, self.device = request, plan, device
        self.models, self.meter = models, meter
        self.backbone: Backbone = models.get(plan.backbone, device)
        for difference, _ in plan.differences:
            difference.check_backbone(self.backbone.id, self.backbone.weights_id)
        self.editor = models.get(plan.editor, device)
        self.tokens = [(self._tokens(d), weight) for d, weight in plan.differences]
        tokens = [tokens for tokens, _ in self.tokens]
        self.prompting = Prompting(request, plan, self.backbone, tokens, device, models, meter)
        self.failures: list[str] = []
        self._at_once, self._halved = max(1, request.batch), False

    def run(self) -> ApplicationReport:
        """All batches; a report of what was written and what failed."""
        batches = list(_batches(self.plan.targets, self._at_once))
        self.meter.phase(APPLYING, len(batches) * self.request.settings.steps)
        outputs = [out for i, batch in enumerate(batches) for out in self._batch(i, batch)]
        return ApplicationReport(tuple(outputs), tuple(self.failures))

    def _batch(self, index: int, batch: Sequence[tuple[Path, Path]]) -> list[AppliedImage]:
        started = time.perf_counter()
        opened = [(*target, *one) for target in batch if (one := self._open(target[0]))]
        if not opened:
            return []
        images = [image for *_, image, _ in opened]
        prompts = self.prompting.complete(images, [prompt for *_, prompt in opened])
        results = self._apply(index, images, prompts)
        seconds = round((time.perf_counter() - started) / len(opened), 3)
        return [
            self._keep(source, target, image, seconds)
            for (source, target, *_), image in zip(opened, results, strict=True)
        ]

    def _keep(self, source: Path, target: Path, image: Image, seconds: float) -> AppliedImage:
        """Write a result, under another number where somebody has just taken its name."""
        data, stale = to_png(image), self.plan.manifest.stale(source)
        for output in numbered(target):
            done = AppliedImage(source, output, seconds)
            self.plan.manifest.record(done)
            if self.request.replace:
                atomic_write(output, data)
                break
            if atomic_create(output, data):
                break
        self.meter.wrote(done)
        if stale and stale != done.output:
            self.meter.warn(
                f"{source.name} or its prompt has changed: its result is {done.output.name} now, "
                f"and {stale.name} is of what it was; remove that, or write with --replace."
            )
        return done

    def _open(self, picture: Path) -> tuple[Image, str | None] | None:
        """B at the backbone's size with its prompt, if it has one; None where it failed."""
        try:
            image = fit_square(open_image(picture), self.backbone.resolution)
            prompt = self.prompting.given(picture)
        except DiffinvError as error:
            self.failures.append(str(error))
            return None
        return image, prompt

    def _apply(self, index: int, images: list[Image], prompts: list[str]) -> list[Image]:
        """The results of a batch. Once, when memory runs out, batches are halved from then on."""
        import torch

        while True:
            try:
                return [
                    result
                    for start in range(0, len(images), self._at_once)
                    for result in self._apply_at_once(
                        index,
                        images[start : start + self._at_once],
                        prompts[start : start + self._at_once],
                    )
                ]
            except torch.OutOfMemoryError as error:
                self._halve(min(self._at_once, len(images)), error)

    def _halve(self, tried: int, error: Exception) -> None:
        if tried == 1 or self._halved:
            raise DiffinvError(
                f"{self.device} ran out of memory with {plural(tried, 'picture')} at once; use "
                "--memory low, close other programs or choose a smaller backbone."
            ) from error
        self._halved, self._at_once = True, tried // 2
        fewer = plural(self._at_once, "picture")
        self.meter.warn(f"{self.device} ran out of memory: now {fewer} at once.")

    def _apply_at_once(self, index: int, images: list[Image], prompts: list[str]) -> list[Image]:
        from ..method.application import apply_differences

        steps = self.request.settings.steps

        def on_step(step: int, total: int) -> None:
            self.meter.step(index * steps + step * steps // max(1, total))

        return apply_differences(
            self.backbone,
            images,
            prompts,
            self.tokens,
            self.editor,
            self.request.settings,
            on_step,
        )

    def _tokens(self, difference: Difference) -> DiffTokens:
        import torch

        from ..contracts import DiffTokens

        values = torch.from_numpy(difference.tokens.copy())[None].float()
        space = cast("TokenSpace", difference.info.token_space)
        return DiffTokens(values.to(self.backbone.device), space)


def _batches(
    targets: Sequence[tuple[Path, Path]], size: int
) -> Iterator[Sequence[tuple[Path, Path]]]:
    for start in range(0, len(targets), size):
        yield targets[start : start + size]
