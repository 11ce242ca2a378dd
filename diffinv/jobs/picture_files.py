"""The files of one round of an application: every B as it is opened, every B' as it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DiffinvError
from ..pictures.formats import encoded, format_of
from ..pictures.framing import to_model
from ..pictures.photograph import Photograph, read_photograph
from ..pictures.sizes import MODEL, checked_size
from ..pictures.writing import to_png
from ..running.progress import Meter
from ..running.prompting import Prompt
from ..running.provenance import notes, provenance
from ..system.files import sha256_of
from ..system.text import path_text, text_safe
from .manifest import Manifest, Stamp
from .requests import ApplyRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from ..difference import Added, Difference
    from ..pictures.blending import Change
    from ..pictures.framing import Size
    from ..pictures.photograph import Sharpen
    from ..running.editing import Editing


@dataclass(frozen=True, eq=False)
class Opened:
    """A B that is being worked on: ``seen`` as the backbone sees it, with its mask at that size,
    and its ``stamp`` and ``digest`` (SHA-256) at the time of reading."""

    source: Path
    target: Path
    seen: Image
    stamp: Stamp
    digest: str
    mask: Image | None


@dataclass(frozen=True)
class Made:
    """What became of a B: the change, the prompt, how many were computed at once, the seconds it
    took, and what sharpens it, None for nothing."""

    opened: Opened
    change: Change
    prompt: Prompt
    at_once: int
    seconds: float
    sharpen: Sharpen | None = None


@dataclass(frozen=True)
class Finished:
    """A result to be written: B's file and stamp, where it goes, the seconds it took, the file's
    contents, and those of its mask if that is to be saved."""

    source: Path
    target: Path
    stamp: Stamp
    seconds: float
    data: bytes
    mask: bytes | None


class PictureFiles:
    """Opens pictures and encodes results. Full-size pictures are read twice, to be seen and to be
    changed, so that none is kept in memory while others are worked on.

    ``failures`` has one sentence for each picture that failed.
    """

    def __init__(
        self,
        request: ApplyRequest,
        differences: Sequence[tuple[Difference, float]],
        added: Sequence[Added],
        manifest: Manifest,
        editing: Editing,
        meter: Meter,
    ) -> None:
        self.request, self.differences, self.manifest = request, differences, manifest
        self.added = added
        self.editing, self.meter = editing, meter
        self.failures: list[str] = []

    def open(self, source: Path, target: Path, size: Size) -> Opened | None:
        """B at the size at which the backbone sees its batch; None if that failed."""
        stamp = self.manifest.stamp(source)
        try:
            photograph = self._sized(read_photograph(source))
            mask = self._mask(source, photograph)
            digest = sha256_of(source) if self.request.provenance else ""
        except DiffinvError as error:
            self.failures.append(str(error))
            return None
        if photograph.frames > 1:
            self.meter.warn(f"{text_safe(source.name)} is a film; only its first frame is used.")
        seen = to_model(photograph.seen, size)
        return Opened(source, target, seen, stamp, digest, mask and to_model(mask, size))

    def finish(self, made: Made) -> Finished | None:
        """A result as it will be written; None, with a failure, if B or its mask cannot be read
        again."""
        one = made.opened
        try:
            data, mask = self._encoded(made)
        except DiffinvError as error:
            self.failures.append(str(error))
            return None
        return Finished(one.source, one.target, one.stamp, made.seconds, data, mask)

    def _encoded(self, made: Made) -> tuple[bytes, bytes | None]:
        """The result as a file's contents, and its mask if that is to be saved."""
        request, one, change = self.request, made.opened, made.change
        photograph = self._again(one)
        allowed = self._mask(one.source, photograph)
        said = notes(self._provenance(made)) if request.provenance else {}
        if request.size == MODEL:
            result, allowed = photograph.as_model(change), one.mask
        else:
            result = photograph.with_change(change, allowed, made.sharpen)
        format = format_of(one.source.suffix, request.format)
        data = encoded(result, format, request.quality, request.strip, said)
        if not request.save_masks:
            return data, None
        return data, to_png(result.changed_where(change, allowed))

    def _provenance(self, made: Made) -> dict[str, Any]:
        request, one = self.request, made.opened
        mask = None if self.manifest.masks is None else self.manifest.masks.find(one.source)
        asked = {
            "batch": made.at_once,
            "size": request.size,
            "detail": request.detail,
            "quality": request.quality,
            "strip": request.strip,
            "mask_file": mask and {"name": text_safe(mask.name), "sha256": sha256_of(mask)},
        }
        how = provenance(
            self.differences,
            self.editing.backbone,
            self.added,
            self.editing.settings,
            made.prompt,
            (one.source.name, one.digest),
            one.seen.size,
        )
        return how | asked

    def _mask(self, source: Path, photograph: Photograph) -> Image | None:
        """Where B may change at all, at its full size; None for everywhere."""
        masks = self.manifest.masks
        return None if masks is None else masks.read(source, photograph.size)

    def _again(self, one: Opened) -> Photograph:
        """B, read once more. Raises DiffinvError if it is another by now."""
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
