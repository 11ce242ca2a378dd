"""Carries out a round of an application, batch by batch; each result is written as it is made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DiffinvError, UsageError
from ..pictures.formats import encoded, format_of
from ..pictures.framing import to_model
from ..pictures.masks import MASKS
from ..pictures.photograph import Photograph, read_photograph
from ..pictures.reading import upright_size
from ..pictures.sizes import MODEL, OFF, checked_size
from ..pictures.writing import to_png
from ..running.editing import batches
from ..running.progress import AppliedImage, Meter
from ..running.provenance import notes, provenance
from ..system.files import atomic_create, atomic_write, numbered, sha256_of
from ..system.text import path_text, text_safe
from .manifest import Stamp
from .planning import ApplicationPlan, Round
from .requests import ApplyRequest

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..api import Model
    from ..pictures.blending import Change
    from ..pictures.framing import Size
    from ..pictures.photograph import Sharpen


_KEPT_PIXELS = 30_000_000
"""A picture with more pixels is not kept in memory while its change is computed."""


@dataclass(frozen=True)
class _Opened:
    """A B that is being worked on."""

    source: Path
    target: Path
    seen: Image
    prompt: str | None
    stamp: Stamp
    digest: str
    photograph: Photograph | None
    mask: Image | None


class Applier:
    """One round of an application: its model, its differences, and the batches of its files.

    ``failures`` has one sentence for each picture that failed.
    """

    def __init__(
        self, request: ApplyRequest, plan: ApplicationPlan, round: Round, model: Model, meter: Meter
    ) -> None:
        self.request, self.plan, self.meter = request, plan, meter
        self.targets, self.done, self.manifest = round.targets, round.done, round.manifest
        self.backbone = model.backbone
        self.settings = replace(request.settings, seed=round.seed)
        self.editing, self.prompting = model.editing(
            plan.differences, plan.editor, self.settings, meter
        )
        if request.prompt_b is not None:
            self.prompting.check(request.prompt_b)
        self.detail = None if request.detail == OFF else self.editing.detail
        self.failures: list[str] = []

    @cached_property
    def batches(self) -> list[tuple[list[tuple[Path, Path]], Size, int]]:
        """The targets that are computed at once, the size at which the backbone sees them, and how
        many are computed with copies of the last."""
        left = [self._seen_size(picture) for picture, _ in self.targets]
        everything = left + [self._seen_size(done.input) for done in self.done]
        most = max(1, self.request.batch)
        return [
            (
                [self.targets[i] for i in places],
                left[places[0]],
                most if self.request.fill else batch,
            )
            for places, batch in batches(left, everything, most)
        ]

    def run(self, before: int) -> list[AppliedImage]:
        """Work through all batches, ``before`` of which went before them in other rounds; what was
        written."""
        return [
            output
            for done, (targets, size, batch) in enumerate(self.batches, before)
            for output in self._batch(done, targets, size, batch)
        ]

    def _seen_size(self, picture: Path) -> Size:
        """The size at which the backbone will see a picture."""
        size = (1, 1)
        if getattr(self.backbone, "size_multiple", None) is not None:
            size = upright_size(picture) or size
        return self.editing.seen_size(size)

    def _batch(
        self, done: int, targets: Sequence[tuple[Path, Path]], size: Size, batch: int
    ) -> list[AppliedImage]:
        started = time.perf_counter()
        opened = [one for target in targets if (one := self._open(*target, size))]
        if not opened:
            return []
        seen = [one.seen for one in opened]
        masks = [one.mask for one in opened if one.mask] or None
        changes, prompts = self.editing.apply(
            done, seen, [one.prompt for one in opened], self.prompting, batch, masks
        )
        seconds = round((time.perf_counter() - started) / len(opened), 3)
        rows = zip(opened, changes, prompts, strict=True)
        kept = (self._keep(one, change, prompt, batch, seconds) for one, change, prompt in rows)
        return [result for result in kept if result]

    def _keep(
        self, one: _Opened, change: Change, prompt: str, batch: int, seconds: float
    ) -> AppliedImage | None:
        """Write a result, under the next free number if its name has just been taken."""
        source = one.source
        made = self._encoded(one, change, prompt, batch)
        if made is None:
            return None
        data, mask = made
        stale = self.manifest.stale(source)
        for output in numbered(one.target):
            done = AppliedImage(source, output, seconds)
            self.manifest.record(done, one.stamp)
            if mask:
                self._save_mask(mask, output)
            if self.request.replace:
                atomic_write(output, data)
                break
            if atomic_create(output, data):
                break
        self.meter.wrote(done)
        if self.manifest.stamp(source) != one.stamp:
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

    def _save_mask(self, mask: bytes, output: Path) -> None:
        """Write where B was changed beside the results, under the result's name. One that a run
        which then ended had written is the same, and is kept."""
        wanted = self.request.out / MASKS / output.relative_to(self.request.out)
        for path in numbered(wanted.with_suffix(".png")):
            if self.request.replace:
                atomic_write(path, mask)
                return
            if atomic_create(path, mask) or path.read_bytes() == mask:
                return

    def _encoded(
        self, one: _Opened, change: Change, prompt: str, batch: int
    ) -> tuple[bytes, bytes | None] | None:
        """The result as a file's contents, and its mask if that is to be saved; None, with a
        failure, if B or its mask cannot be read again."""
        request = self.request
        try:
            photograph = one.photograph or self._again(one)
            allowed = self._mask(one.source, photograph)
            said = notes(self._provenance(one, prompt, batch)) if request.provenance else {}
        except DiffinvError as error:
            self.failures.append(str(error))
            return None
        if request.size == MODEL:
            photograph = photograph.as_model(change)
            image, allowed = photograph.seen, one.mask
        else:
            image = photograph.edited(change, allowed, self._sharpen(one, prompt))
        format = format_of(one.source.suffix, request.format)
        data = encoded(image, photograph, format, request.quality, request.strip, said)
        if not request.save_masks:
            return data, None
        return data, to_png(photograph.changed_where(change, allowed))

    def _sharpen(self, one: _Opened, prompt: str) -> Sharpen | None:
        detail, seen = self.detail, one.seen.size
        if detail is None:
            return None
        return lambda picture, mask: detail.sharpened(picture, mask, seen, prompt)

    def _provenance(self, one: _Opened, prompt: str, batch: int) -> dict[str, Any]:
        request, source = self.request, (one.source.name, one.digest)
        made = provenance(
            self.plan.differences, self.backbone, self.settings, prompt, source, one.seen.size
        )
        mask = None if self.manifest.masks is None else self.manifest.masks.find(one.source)
        asked = {
            "batch": self.editing.at_once(batch),
            "size": request.size,
            "detail": request.detail,
            "quality": request.quality,
            "strip": request.strip,
            "mask_file": mask and {"name": text_safe(mask.name), "sha256": sha256_of(mask)},
        }
        return made | asked

    def _open(self, source: Path, target: Path, size: Size) -> _Opened | None:
        """B at the size at which the backbone sees its batch, with its prompt if it has one, and
        the stamp of both at the time of reading; None if that failed. A very large one is read
        again for its result."""
        stamp = self.manifest.stamp(source)
        try:
            photograph = self._sized(read_photograph(source))
            seen, prompt = to_model(photograph.seen, size), self._prompt(source)
            mask = self._mask(source, photograph)
            digest = sha256_of(source) if self.request.provenance else ""
        except DiffinvError as error:
            self.failures.append(str(error))
            return None
        width, height = photograph.size
        kept = photograph if width * height <= _KEPT_PIXELS else None
        mask = mask and to_model(mask, size)
        return _Opened(source, target, seen, prompt, stamp, digest, kept, mask)

    def _mask(self, source: Path, photograph: Photograph) -> Image | None:
        """Where B may change at all, at its full size; None for everywhere."""
        masks = self.manifest.masks
        return None if masks is None else masks.read(source, photograph.size)

    def _again(self, one: _Opened) -> Photograph:
        """A very large B, read once more. Raises DiffinvError if it is another by now."""
        photograph = self._sized(read_photograph(one.source))
        if self.manifest.stamp(one.source) != one.stamp:
            raise DiffinvError(
                f"{path_text(one.source)} or its prompt changed while it was worked on; run the "
                "same again."
            )
        return photograph

    def _sized(self, photograph: Photograph) -> Photograph:
        size = checked_size(self.request.size)
        return photograph.resized(size) if isinstance(size, int) else photograph

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
