"""What an engine is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

LOCAL = "local"

Work = Callable[[Any], Any]
"""What a worker does with a task. Results and tasks are plain values, since they may travel."""


class Pool(Protocol):
    """Workers that have been started."""

    def run(
        self, tasks: Sequence[Any], tick: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Any]]:
        """(place of the task, result) as they are ready, each once. An exception of a worker's is
        raised here. While workers elsewhere are waited for, ``tick`` is called about every second;
        what it raises ends the waiting."""


class Engine(Protocol):
    """A place for work."""

    def started(self, make: Callable[[], Work]) -> AbstractContextManager[Pool]:
        """Workers made by ``make``, inside the block."""
