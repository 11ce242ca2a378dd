"""Pictures out of characters: how near they come, and which ones a terminal gets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from rich.segment import Segment

from diffinv_tui.blocks import Blocks, Drawing, draw, suited_blocks
from diffinv_tui.pictures import blocks_of

COLUMNS, ROWS = 24, 12
FILLED = dict(zip("▀▌▘▚▛▜▙", ("1100", "1010", "1000", "1001", "1110", "1101", "1011"), strict=True))
"""Which quarters each glyph fills, as Unicode names them, row by row."""


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """A picture with edges in all directions: a disc, a roof, stripes, a slope of colours."""
    picture = Image.linear_gradient("L").resize((480, 480)).convert("RGB")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((40, 60, 210, 230), "orange")
    pen.polygon([(240, 300), (350, 90), (460, 300)], "brown")
    for x in range(30, 450, 37):
        pen.line((x, 330, x + 20, 470), "white", 9)
    return picture


def parts_of(glyph: str, blocks: Blocks) -> np.ndarray[Any, Any]:
    """Which parts [rows, columns] a glyph fills, by what Unicode says of it."""
    if blocks == "half":
        assert glyph == "▀"
        return np.array([[1], [0]])
    if glyph in FILLED:
        return np.array(list(FILLED[glyph]), dtype=int).reshape(2, 2)
    number = ord(glyph) - 0x1FB00 + 1
    number += (number >= 21) + (number >= 41)  # the halves stand elsewhere
    return np.array([(number >> bit) & 1 for bit in range(6)]).reshape(3, 2)


def seen(lines: list[list[Segment]], blocks: Blocks) -> np.ndarray[Any, Any]:
    """The picture [72, 48, 3] that a terminal shows, 6 x 2 pixels a cell."""
    rows = []
    for line in lines:
        cells = []
        for segment in line:
            assert segment.style
            assert segment.style.color
            assert segment.style.bgcolor
            parts = parts_of(segment.text, blocks)
            parts = np.kron(parts, np.ones((6 // parts.shape[0], 2 // parts.shape[1])))
            fore, back = segment.style.color.triplet, segment.style.bgcolor.triplet
            cells.append(np.where(parts[..., None] > 0, fore, back))
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows, axis=0)


def error(picture: Image.Image, blocks: Blocks) -> float:
    shown = seen(draw(picture, COLUMNS, ROWS, Drawing(blocks)), blocks)
    wanted = picture.resize((COLUMNS * 2, ROWS * 6), Image.Resampling.BOX)
    return float(((shown - np.asarray(wanted, dtype=float)) ** 2).mean())


def test_finer_blocks_are_nearer_to_the_picture(scene: Image.Image) -> None:
    half, quadrants, sextants = (error(scene, b) for b in ("half", "quadrants", "sextants"))
    assert quadrants < 0.8 * half
    assert sextants < 0.95 * quadrants


@pytest.mark.parametrize("blocks", ["quadrants", "sextants"])
def test_what_a_glyph_can_show_is_shown_exactly(blocks: Blocks) -> None:
    down = {"quadrants": 2, "sextants": 3}[blocks]
    count = 2 ** (2 * down)
    cells = [np.array([(n >> bit) & 1 for bit in range(2 * down)]) for n in range(count)]
    values = np.concatenate([cell.reshape(down, 2) for cell in cells], axis=1) * 200
    picture = Image.fromarray(values.astype(np.uint8)).convert("RGB")
    shown = seen(draw(picture, count, 1, Drawing(blocks)), blocks)[..., 0]
    assert np.array_equal(shown, np.kron(values, np.ones((6 // down, 1))))


@pytest.mark.parametrize("blocks", ["half", "quadrants", "sextants"])
def test_few_colours_keep_the_shade_of_an_area(blocks: Blocks) -> None:
    wanted = (150, 60, 228)
    flat = Image.new("RGB", (64, 64), wanted)
    shown = seen(draw(flat, 16, 8, Drawing(blocks, few_colours=True)), blocks)
    assert set(np.unique(shown)) <= {0, 95, 135, 175, 215, 255}
    assert np.abs(shown.mean((0, 1)) - wanted).max() < 4
    assert np.ptp(shown.reshape(-1, 3), axis=0).min() > 0


@pytest.mark.parametrize(
    ("environment", "blocks"),
    [
        ({"TERM": "xterm-256color", "LANG": "de_DE.UTF-8"}, "quadrants"),
        ({"TERM": "xterm-kitty", "LC_ALL": "en_US.utf8"}, "sextants"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "sextants"),
        ({"TERM": "foot-extra"}, "sextants"),
        ({"WT_SESSION": "x", "LANG": "C"}, "sextants"),
        ({"TERM": "xterm-kitty", "TMUX": "x"}, "quadrants"),
        ({"TERM": "xterm-256color", "LANG": "de_DE.ISO-8859-1"}, "half"),
        ({"TERM": "linux", "LANG": "en_US.UTF-8"}, "half"),
        ({"TERM": "xterm-kitty", "TEXTUAL_DRIVER": "web"}, "half"),
    ],
)
def test_the_blocks_of_a_terminal(environment: dict[str, str], blocks: Blocks) -> None:
    assert suited_blocks(environment) == blocks
    assert blocks_of("auto", environment) == blocks
    assert blocks_of("half", environment) == "half"
