"""Writes results to their folder, each once, in the one process that keeps an application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..pictures.masks import MASKS
from ..running.progress import AppliedImage, Meter
from ..system.files import atomic_create, atomic_write, numbered
from .manifest import Manifest
from .picture_files import Finished
from .requests import ApplyRequest
from .sending import Results


class ResultFiles:
    """The results of one round, which are sent to ``elsewhere``, if they belong there."""

    def __init__(
        self,
        request: ApplyRequest,
        manifest: Manifest,
        meter: Meter,
        elsewhere: Results | None = None,
    ) -> None:
        self.request, self.manifest, self.meter = request, manifest, meter
        self.elsewhere = elsewhere

    def write(self, one: Finished) -> AppliedImage:
        """Write a result, under the next free number if its name has just been taken."""
        source = one.source
        stale = self.manifest.stale(source)
        for output in self._free(one.target):
            done = AppliedImage(source, output, one.seconds)
            self.manifest.record(done, one.stamp)
            mask = self._save_mask(one.mask, output) if one.mask else None
            if self.request.replace:
                atomic_write(output, one.data)
                break
            if atomic_create(output, one.data):
                break
        if self.elsewhere:  # the line first: a result without one would be made again
            self.elsewhere.send(self.manifest.path, *([mask] if mask else []), done.output)
        self.meter.wrote(done)
        if stale and stale != done.output:
            self.meter.warn(
                f"{source.name} or its prompt has changed: its result is now {done.output.name}, "
                f"and {stale.name} is out of date; remove it, or run with --replace."
            )
        return done

    def _free(self, target: Path) -> Iterator[Path]:
        """A name and its numbers, without those that somebody has just taken elsewhere."""
        taken = self.elsewhere.is_taken if self.elsewhere else lambda _path: False
        return (path for path in numbered(target) if not taken(path))

    def _save_mask(self, mask: bytes, output: Path) -> Path:
        """Write where B was changed beside the results, under the result's name. One that a run
        which then ended had written is the same, and is kept."""
        wanted = self.request.out / MASKS / output.relative_to(self.request.out)
        for path in self._free(wanted.with_suffix(".png")):
            if self.request.replace:
                atomic_write(path, mask)
                break
            if atomic_create(path, mask) or path.read_bytes() == mask:
                break
        return path
