"""A loss curve in braille dots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from rich.text import Text
from textual.widget import Widget

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille bits by row and column of the two by four dots of a cell."""

_LABEL = 8

_SPAN = 20
"""Each point is the mean of the values around it: a twentieth of them, since losses are noisy."""


class Curve(Widget):
    """Numbers over steps, with the highest and the lowest written beside the curve."""

    HELP = """The {left_to_learn}, at every step the mean of the steps around it.

    It should fall; where it ends decides little by itself.
    """
    DEFAULT_CSS = """
    Curve { height: 6; width: 1fr; color: $primary; }
    """

    def __init__(self, *, id: str | None = None, empty: str = "Nothing measured yet.") -> None:
        super().__init__(id=id)
        self._values: list[float] = []
        self._empty = empty

    def show(self, values: Sequence[float]) -> None:
        """Draw these numbers; those that are not finite are left out."""
        finite = running_mean([value for value in values if math.isfinite(value)])
        if finite != self._values:
            self._values = finite
            self.refresh()

    def render(self) -> Text:
        """The curve with its labels."""
        width, height = self.size
        if len(self._values) < 2 or width < _LABEL + 4 or height < 2:
            return Text(self._empty, "muted")
        rows = braille(self._values, width - _LABEL, height)
        labels = {0: max(self._values), height - 1: min(self._values)}
        text = Text(no_wrap=True)
        for y, row in enumerate(rows):
            label = f"{labels[y]:.4g}" if y in labels else ""
            text.append(f"{label:>{_LABEL - 1}} ", "muted")
            text.append(row + "\n")
        text.rstrip()
        return text


def running_mean(values: Sequence[float]) -> list[float]:
    """Every value with its neighbours, a twentieth of all of them, as their mean."""
    reach = len(values) // _SPAN // 2
    sums = [0.0, *accumulate(values)]
    windows = ((max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values)))
    return [(sums[right] - sums[left]) / (right - left) for left, right in windows]


def braille(values: Sequence[float], columns: int, rows: int) -> list[str]:
    """A curve through ``values``, as ``rows`` lines of ``columns`` braille cells."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    dots_x, dots_y = columns * 2, rows * 4
    cells = [[0] * columns for _ in range(rows)]
    last = None
    for x in range(dots_x):
        place = x * (len(values) - 1) / max(1, dots_x - 1)
        left = int(place)
        right = min(left + 1, len(values) - 1)
        value = values[left] + (values[right] - values[left]) * (place - left)
        y = round((high - value) / span * (dots_y - 1))
        previous = y if last is None else last
        for dot in range(min(y, previous), max(y, previous) + 1):
            cells[dot // 4][x // 2] |= _DOTS[dot % 4][x % 2]
        last = y
    return ["".join(chr(0x2800 + cell) for cell in row) for row in cells]
