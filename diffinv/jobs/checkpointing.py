"""Keeps a running inversion safe: checkpoints, and previews along the way."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import DiffinvError
from ..pictures.writing import save_png
from ..running.keeping import Keeper
from ..running.progress import Meter
from .workspace import Checkpoint, Workspace, fingerprint

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..method.inversion import Inversion


class Checkpoints(Keeper):
    """Writes to a workspace. ``started`` is when this run began (``time.perf_counter``)."""

    def __init__(self, workspace: Workspace, meter: Meter, started: float) -> None:
        super().__init__(started)
        self._workspace, self._meter = workspace, meter
        self._fingerprint = ""

    def restore(self, inversion: Inversion, decisive: Sequence[object]) -> None:
        """Go on from the last checkpoint, if there is a matching one."""
        self._fingerprint = fingerprint(decisive)
        try:
            checkpoint = self._workspace.load(self._fingerprint)
        except DiffinvError as error:
            self._meter.warn(str(error))
            return
        if checkpoint:
            inversion.load_state(checkpoint.state)
            self._started -= checkpoint.seconds

    def begin(self) -> None:
        """Learning starts now; loading and preparation are over."""
        self._workspace.looked = time.monotonic()

    @property
    def is_curious(self) -> bool:
        """Whether a preview is worth its time: a run of a few seconds needs none."""
        return time.monotonic() - self._workspace.looked >= self._workspace.look_every

    @contextlib.contextmanager
    def kept(self, inversion: Inversion) -> Iterator[None]:
        """Wraps the work between two steps. The state is saved if that is interrupted, else when
        due."""
        try:
            yield
        except BaseException:
            self._save(inversion)
            raise
        if inversion.is_done or self._workspace.is_due:
            self._save(inversion)

    def show(self, preview: Image) -> None:
        """Put a preview where front ends look for it."""
        with self._warned("preview"):
            save_png(preview, self._workspace.preview)
        self._workspace.looked = time.monotonic()

    def _save(self, inversion: Inversion) -> None:
        with self._warned("checkpoint"):
            checkpoint = Checkpoint(inversion.state(), self.seconds())
            self._workspace.save(self._fingerprint, checkpoint)

    @contextlib.contextmanager
    def _warned(self, what: str) -> Iterator[None]:
        """A full disk only warns: there may be room again by the end of learning."""
        try:
            yield
        except DiffinvError as error:
            reason = str(error).partition("; ")[0]
            self._meter.warn(f"The {what} could not be kept ({reason}); learning goes on.")
