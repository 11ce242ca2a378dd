"""A page as it is seen behind a dialog: drawn once, and paler."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

_TENTHS = 7
"""How much of the background there is in every colour: the page is recognised, not read."""


def dimmed(page: Iterable[Strip], background: ColorTriplet) -> list[Strip]:
    """Lines in colours that are nearly the background's. Without Textual's colours, which take
    several times as long for a page of pictures."""
    return [
        Strip(
            [Segment(s.text, _dim(s.style, background)) if s.style else s for s in strip],
            strip.cell_length,
        )
        for strip in page
    ]


@lru_cache(maxsize=8_192)
def _dim(style: Style, background: ColorTriplet) -> Style:
    return Style.from_color(_blend(style.color, background), _blend(style.bgcolor, background))


def _blend(color: Color | None, background: ColorTriplet) -> Color | None:
    if color is None:
        return None
    (red, green, blue), back = color.triplet or color.get_truecolor(), background
    mixed = ColorTriplet(
        (red * (10 - _TENTHS) + back.red * _TENTHS) // 10,
        (green * (10 - _TENTHS) + back.green * _TENTHS) // 10,
        (blue * (10 - _TENTHS) + back.blue * _TENTHS) // 10,
    )
    return Color("", ColorType.TRUECOLOR, triplet=mixed)
