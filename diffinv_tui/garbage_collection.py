"""Keeps Python's garbage collector from holding the app up.

A full collection looks at every object there is, which takes a tenth of a second in this app. So
they are done here, each of them only of what is new since the last one.
"""

from __future__ import annotations

import gc
import time

_DUE = 4
"""Collections of the youngest objects after which what they left is looked at: 10 to 20 ms."""

_THOROUGH = 50
"""Looks after which everything is looked at once more, when nobody does anything."""

_AWAY = 60.0
"""Seconds without a key or the mouse after which nobody is held up."""

_NEVER = 1_000_000


class Collector:
    """Collects garbage in small portions."""

    def __init__(self) -> None:
        self._touched = 0.0
        self._looks = 0

    def begin(self) -> None:
        """The app is there: leave what it is made of alone from now on."""
        gc.freeze()
        gc.set_threshold(*gc.get_threshold()[:2], _NEVER)
        gc.enable()

    def touch(self) -> None:
        """Somebody does something."""
        self._touched = time.monotonic()

    def look(self, settled: bool) -> None:
        """Collect where it is due; where nothing is about to be closed, what is left stays."""
        if gc.get_count()[2] < _DUE:
            return
        self._looks += 1
        if self._looks >= _THOROUGH and time.monotonic() - self._touched > _AWAY:
            self._looks = 0
            gc.unfreeze()
        gc.collect()
        if settled:
            gc.freeze()
