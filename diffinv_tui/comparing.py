"""What is seen of B and B′: side by side, one in turn, or one up to a line, then the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

Way = Literal["side", "blink", "wipe"]
Pixels = tuple[int, int]

_WIPE, _PAN = 0.05, 0.4
"""How far a key moves the line, and what is seen, as shares of what is seen."""


@dataclass(frozen=True)
class Look:
    """A way to look at B and B′. ``after``: while they blink, B′ is there. ``line`` is where a wipe
    stands, from 0 (B′ alone) to 1. ``zoom``: one pixel of the picture is one on the screen, around
    ``centre``, in shares of the picture."""

    way: Way = "side"
    after: bool = True
    line: float = 0.5
    zoom: bool = False
    centre: tuple[float, float] = (0.5, 0.5)

    def blinked(self) -> Look:
        """The other picture; of both side by side, B′."""
        return replace(self, way="blink", after=self.way != "blink" or not self.after)

    def wiped(self) -> Look:
        """With a line between both, or side by side again."""
        return replace(self, way="side" if self.way == "wipe" else "wipe", line=0.5)

    def zoomed(self) -> Look:
        """The whole, or the pixels themselves."""
        return replace(self, zoom=not self.zoom)

    def moved_line(self, by: int) -> Look:
        """The line some way to the right."""
        return replace(self, line=min(1.0, max(0.0, self.line + by * _WIPE)))

    def panned(self, by: tuple[int, int], size: Pixels, room: Pixels) -> Look:
        """Another part of a picture of a size, of which so much is seen as there is room for."""
        x, y = (
            _kept_inside(at + _PAN * step * min(1.0, seen / side), min(1.0, seen / side))
            for at, step, side, seen in zip(self.centre, by, size, room, strict=True)
        )
        return replace(self, centre=(x, y))


def _kept_inside(centre: float, share: float) -> float:
    return min(1 - share / 2, max(share / 2, centre))


def seen(look: Look, before: Image, after: Image | None, room: Pixels) -> list[Image | None]:
    """What is shown of B and B′ (of one size) in places with room for so many pixels: both, or one
    in which they blink or are wiped."""
    part = [None if image is None else _part(look, image, room) for image in (before, after)]
    if look.way == "side" or part[0] is None or part[1] is None:
        return part
    if look.way == "blink":
        return [part[1] if look.after else part[0]]
    return [_wiped(part[0], part[1], look.line)]


def _part(look: Look, image: Image, room: Pixels) -> Image:
    """All of a picture, or as many of its pixels as there is room for."""
    if not look.zoom:
        return image
    sides = [min(side, seen) for side, seen in zip(image.size, room, strict=True)]
    left, top = (
        round(_kept_inside(at, seen / side) * side - seen / 2)
        for at, side, seen in zip(look.centre, image.size, sides, strict=True)
    )
    return image.crop((left, top, left + sides[0], top + sides[1]))


def _wiped(before: Image, after: Image, line: float) -> Image:
    """B left of the line, B′ right of it."""
    from PIL import Image as Images

    x = round(line * after.width)
    image = after.copy()
    image.paste(before.crop((0, 0, x, before.height)), (0, 0))
    if 0 < x < after.width:
        thick = max(1, after.width // 200)
        image.paste(Images.new("RGB", (thick, after.height), "white"), (x, 0))
    return image
