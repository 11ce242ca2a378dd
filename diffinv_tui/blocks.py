"""Pictures out of characters: in every cell a glyph that parts it in two, and two colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

Blocks = Literal["half", "quadrants", "sextants"]
"""Into how many parts glyphs divide a cell: two, four, or six and four."""

_PARTS: dict[Blocks, tuple[int, int]] = {"half": (1, 2), "quadrants": (2, 2), "sextants": (2, 6)}
"""Columns and rows of a cell's parts; of sextants so many that quadrants can be made of them."""

_HALF = {0b01: "▀"}
_QUADRANTS = {
    **{0b0011: "▀", 0b0101: "▌", 0b0001: "▘", 0b1001: "▚"},
    **{0b0111: "▛", 0b1011: "▜", 0b1101: "▙"},
}
"""Glyphs by the parts that they fill: a bit each, the first one top left. The first part is always
filled: a glyph and its opposite are the same with the colours exchanged. The first glyph halves a
cell."""
_SEXTANTS = {n: chr(0x1FB00 + n - 1 - (n > 21) - (n > 42)) for n in range(1, 62, 2) if n != 21}
"""In Unicode the halves at the left and right, 21 and 42, stand elsewhere."""


@dataclass(frozen=True)
class Drawing:
    """How pictures are drawn. ``few_colours``: the terminal has 256, so they are dithered."""

    blocks: Blocks = "half"
    few_colours: bool = False


def suited_blocks(environment: Mapping[str, str]) -> Blocks:
    """The finest blocks that a terminal is known to have.

    Fonts have quadrants since there were terminals; sextants are drawn by newer terminals
    themselves. A console without a desktop has neither, and of a browser nothing is known.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("TEXTUAL_DRIVER") or term in ("linux", "dumb", "vt100", "vt220"):
        return "half"
    spoken = (environment.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    language = next((text for text in spoken if text), "UTF-8")
    if not environment.get("WT_SESSION") and "utf" not in language.lower():
        return "half"
    if environment.get("TMUX") or environment.get("STY"):
        return "quadrants"  # what is around it may be another terminal than at its start
    known = ("WezTerm", "ghostty", "iTerm.app")
    draws_them = term in ("xterm-kitty", "xterm-ghostty") or term.startswith("foot")
    draws_them = draws_them or program in known or bool(environment.get("WT_SESSION"))
    return "sextants" if draws_them else "quadrants"


def draw(image: Image, columns: int, rows: int, drawing: Drawing) -> list[list[Segment]]:
    """A picture as ``rows`` lines of ``columns`` cells."""
    import numpy as np

    pixels = _parts(image, columns, rows, drawing.blocks)
    glyphs, masks = _glyphs(drawing.blocks)
    best, colours = _nearest(pixels, masks)
    if drawing.few_colours:
        colours = _dithered(colours.reshape(rows, columns, 2, 3))
    packed = np.rint(colours).astype(np.int32) @ np.array([65536, 256, 1], dtype=np.int32)
    best, packed = best.reshape(rows, columns), packed.reshape(rows, columns, 2)
    return [
        [Segment(glyphs[i], _style(fore, back)) for i, (fore, back) in zip(*row, strict=True)]
        for row in zip(best.tolist(), packed.tolist(), strict=True)
    ]


def _parts(image: Image, columns: int, rows: int, blocks: Blocks) -> np.ndarray[Any, Any]:
    """Colours [cells, parts, 3] in [0, 255]."""
    import numpy as np
    from PIL import Image as Images

    across, down = _PARTS[blocks]
    colours = image if image.mode == "RGB" else image.convert("RGB")
    small = colours.resize((columns * across, rows * down), Images.Resampling.BOX)
    values = np.asarray(small, dtype=np.float32).reshape(rows, down, columns, across, 3)
    return values.transpose(0, 2, 1, 3, 4).reshape(rows * columns, across * down, 3)


@cache
def _glyphs(blocks: Blocks) -> tuple[str, np.ndarray[Any, Any]]:
    """The glyphs, and which parts [glyphs, parts] each fills."""
    import numpy as np

    if blocks == "half":
        return "".join(_HALF.values()), _masks(_HALF, 1, 2)
    glyphs, masks = "".join(_QUADRANTS.values()), _masks(_QUADRANTS, 2, 2)
    if blocks == "quadrants":
        return glyphs, masks
    finer = _masks(_SEXTANTS, 2, 3)
    return glyphs + "".join(_SEXTANTS.values()), np.concatenate([_rows(masks, 2), _rows(finer, 3)])


def _masks(glyphs: Mapping[int, str], across: int, down: int) -> np.ndarray[Any, Any]:
    import numpy as np

    bits = np.arange(across * down)
    return np.array([(n >> bits) & 1 for n in glyphs], dtype=np.float32)


def _rows(masks: np.ndarray[Any, Any], down: int) -> np.ndarray[Any, Any]:
    """Masks of so many rows as masks of six."""
    import numpy as np

    return np.repeat(masks.reshape(len(masks), down, -1), 6 // down, axis=1).reshape(len(masks), -1)


def _nearest(
    pixels: np.ndarray[Any, Any], masks: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each cell the glyph [cells] with the least squared error, and its colours [cells, 2, 3].

    Each colour is the mean of its parts, so the error is least where the squares of the sums, each
    by its number of parts, are greatest.
    """
    import numpy as np

    filled = masks.sum(1)[:, None]
    left = masks.shape[1] - filled
    fore = masks @ pixels
    back = pixels.sum(1)[:, None] - fore
    score = (fore**2 / filled + back**2 / left).sum(2)
    score[:, 0] += 2  # of a cell that is nearly one colour, halves: they can be dithered
    best = score.argmax(1)
    cells = np.arange(len(pixels))
    colours = np.stack([fore[cells, best] / filled[best], back[cells, best] / left[best]], 1)
    return best, colours


_LEVELS = (0, 95, 135, 175, 215, 255)
"""The levels of red, green and blue among a terminal's 256 colours."""
_ORDER = ((0, 8, 2, 10), (12, 4, 14, 6), (3, 11, 1, 9), (15, 7, 13, 5))
"""Bayer's: in which order the cells of a square become brighter."""


def _dithered(colours: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Colours [rows, columns, 2, 3] of a terminal that has few, whose mean is near what it was."""
    import numpy as np

    levels = np.array(_LEVELS, dtype=np.float32)
    below = np.clip(np.searchsorted(levels, colours, "right") - 1, 0, len(levels) - 2)
    share = (colours - levels[below]) / (levels[below + 1] - levels[below])
    rows, columns = np.arange(colours.shape[0]), np.arange(colours.shape[1])
    order = (np.array(_ORDER, dtype=np.float32) + 0.5) / 16
    y = 2 * rows[:, None, None] + np.arange(2)  # the second colour is mostly the lower one
    limit = order[y % 4, columns[None, :, None] % 4]
    return levels[below + (share > limit[..., None])]


@lru_cache(maxsize=16_384)
def _style(fore: int, back: int) -> Style:
    """Colours without names, which take three times as long: a picture has a thousand of them."""
    return Style.from_color(_colour(fore), _colour(back))


def _colour(packed: int) -> Color:
    triplet = ColorTriplet(packed >> 16, packed >> 8 & 255, packed & 255)
    return Color("", ColorType.TRUECOLOR, triplet=triplet)
