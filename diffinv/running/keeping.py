"""Keeps what has to survive while a difference is learned."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..method.inversion import Inversion


class Keeper:
    """Keeps only the time, which is all a script needs. Jobs use one that writes checkpoints."""

    def __init__(self, started: float | None = None) -> None:
        self._started = time.perf_counter() if started is None else started

    def restore(self, inversion: Inversion, decisive: Sequence[object]) -> None:
        """Go on from where an earlier run stopped; ``decisive`` is all the result depends on."""

    def begin(self) -> None:
        """Learning starts now; loading and preparation are over."""

    @property
    def is_curious(self) -> bool:
        """Whether a preview is worth its time now."""
        return False

    def kept(self, inversion: Inversion) -> contextlib.AbstractContextManager[None]:
        """Wraps the work between two steps, and may end the run."""
        return contextlib.nullcontext()

    def show(self, preview: Image) -> None:
        """Put a preview where front ends look for it."""

    def seconds(self) -> float:
        """The time learning took, including interrupted runs."""
        return time.perf_counter() - self._started
