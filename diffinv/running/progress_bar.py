"""Progress as a tqdm bar, in notebooks and terminals."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from .progress import OnProgress, Progress, ignore


@contextlib.contextmanager
def shown(on_step: OnProgress | None, wanted: bool | None) -> Iterator[OnProgress]:
    """Receives a task's events: passes them on, and draws a bar if ``wanted``, by default where
    somebody can see it. The task's warnings become Python warnings."""
    draw = _somebody_sees() if wanted is None else wanted
    bar = _Bar() if draw else None

    def hear(event: Progress) -> None:
        if event.warning:
            warnings.warn(event.warning, UserWarning, stacklevel=2)
        if bar:
            bar.follow(event)
        (on_step or ignore)(event)

    try:
        yield hear
    finally:
        if bar:
            bar.close()


def _somebody_sees() -> bool:
    return "ipykernel" in sys.modules or sys.stderr.isatty()


class _Bar:
    """One bar for each phase that counts steps."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._phase = ""

    def follow(self, event: Progress) -> None:
        from tqdm.auto import tqdm

        if event.warning or event.note or event.output or not event.total:
            return
        if self._bar is None or event.phase != self._phase or event.step < self._bar.n:
            self.close()
            self._phase = event.phase
            self._bar = tqdm(total=event.total, desc=event.phase)
        if event.loss is not None:
            self._bar.set_postfix(loss=f"{event.loss:.3f}", refresh=False)
        self._bar.update(event.step - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
