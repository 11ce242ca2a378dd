"""Work in this process, one task after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .engine import Pool, Work


class LocalEngine:
    """See :class:`diffinv.engines.Engine`."""

    @contextmanager
    def started(self, make: Callable[[], Work]) -> Iterator[Pool]:
        """One worker."""
        yield _Here(make())


class _Here:
    def __init__(self, work: Work) -> None:
        self._work = work

    def run(
        self, tasks: Sequence[Any], tick: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Any]]:
        """In their order."""
        for place, task in enumerate(tasks):
            yield place, self._work(task)
