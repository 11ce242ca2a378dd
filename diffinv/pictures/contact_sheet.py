"""A sheet that explains itself: the example, and every B beside its B′."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..system.text import text_safe

_TILE, _GAP, _PAD, _MARGIN, _SPACE = 192, 58, 22, 48, 24

_CARD = (2 * _TILE + _GAP + 2 * _PAD, _TILE + 2 * _PAD + 26)

PAPER, WHITE, LINE = (246, 245, 241), (255, 255, 255), (228, 226, 219)

INK, GREY, ACCENT = (38, 40, 46), (122, 124, 130), (214, 108, 58)

Pair = tuple[Image.Image, Image.Image]

Colour = tuple[int, int, int]


def contact_sheet(
    a: Image.Image, a_prime: Image.Image, rows: Sequence[Pair], title: str
) -> Image.Image:
    """A sheet that explains itself: the example A and A', and below it every B beside its B'.

    All pictures are RGB of any size and are shown as squares; ``rows`` holds (B, B') and may be
    empty. The result is RGB, two to four pairs wide.
    """
    columns = 2 if len(rows) <= 4 else 3 if len(rows) <= 9 else 4
    lines = -(-len(rows) // columns)
    top = _MARGIN + 64
    grid = top + _CARD[1] + 84
    bottom = grid + lines * (_CARD[1] + _SPACE) - _SPACE if rows else top + _CARD[1]
    width = 2 * _MARGIN + columns * _CARD[0] + (columns - 1) * _SPACE
    sheet = Image.new("RGB", (width, bottom + _MARGIN), PAPER)
    write(sheet, (_MARGIN, _MARGIN + 26), title, 34, INK, width - 2 * _MARGIN)
    _draw_card(sheet, (_MARGIN, top), (a, a_prime), "A", accent=True)
    _explain(sheet, (_MARGIN + _CARD[0] + _SPACE + 8, top), bool(rows))
    if rows:
        write(sheet, (_MARGIN, grid - 26), "The same difference, applied", 24, INK)
    for index, pair in enumerate(rows):
        line, column = divmod(index, columns)
        left = _MARGIN + column * (_CARD[0] + _SPACE)
        _draw_card(sheet, (left, grid + line * (_CARD[1] + _SPACE)), pair, "B")
    return sheet


def _explain(sheet: Image.Image, corner: tuple[int, int], applied: bool) -> None:
    left, top = corner
    lines = ["What changes from A to A' is learned", "from this example."]
    if applied:
        lines += ["Below, it is applied to pictures B", "that were never part of the example."]
    write(sheet, (left, top + 82), "The example", 24, ACCENT)
    for index, line in enumerate(lines):
        write(sheet, (left, top + 118 + 27 * index), line, 18, GREY)


def _draw_card(
    sheet: Image.Image, corner: tuple[int, int], pair: Pair, letter: str, accent: bool = False
) -> None:
    left, top = corner
    edge = ACCENT if accent else LINE
    paste_rounded(sheet, Image.new("RGB", _CARD, edge), corner, 16)
    paste_rounded(
        sheet, Image.new("RGB", (_CARD[0] - 4, _CARD[1] - 4), WHITE), (left + 2, top + 2), 14
    )
    for index, (image, label) in enumerate(zip(pair, (letter, f"{letter}'"), strict=True)):
        x = left + _PAD + index * (_TILE + _GAP)
        paste_rounded(sheet, _tile(image), (x, top + _PAD), 8)
        middle = (x + _TILE // 2, top + _PAD + _TILE + 26)
        write(sheet, middle, label, 19, INK, anchor="ms")
    arrow = (left + _PAD + _TILE, top + _PAD + _TILE // 2)
    _draw_arrow(sheet, arrow, ACCENT if accent else GREY)


def _tile(image: Image.Image) -> Image.Image:
    square = ImageOps.fit(image, (min(image.size),) * 2, Image.Resampling.LANCZOS)
    tiny = square.width <= 128
    return square.resize(
        (_TILE, _TILE), Image.Resampling.BICUBIC if tiny else Image.Resampling.LANCZOS
    )


def paste_rounded(
    sheet: Image.Image, image: Image.Image, corner: tuple[int, int], radius: int
) -> None:
    """Put a picture on a sheet with smooth, rounded corners; ``corner`` is its top left."""

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        size = (image.width * scale - 1, image.height * scale - 1)
        pen.rounded_rectangle((0, 0, *size), radius * scale, fill=255)

    sheet.paste(image, corner, _smooth_mask(image.size, draw))


def _draw_arrow(sheet: Image.Image, left_middle: tuple[int, int], colour: Colour) -> None:
    size = (_GAP, 24)

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pen.line([(p[0] * scale, p[1] * scale) for p in ((14, 12), (42, 12))], 255, 3 * scale)
        for y in (5, 19):
            pen.line([(36 * scale, y * scale), (43 * scale, 12 * scale)], 255, 3 * scale)

    left, middle = left_middle
    sheet.paste(Image.new("RGB", size, colour), (left, middle - 12), _smooth_mask(size, draw))


def _smooth_mask(
    size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw, int], None]
) -> Image.Image:
    """A mask with soft edges: drawn four times as large, then reduced."""
    large = Image.new("L", (size[0] * 4, size[1] * 4))
    draw(ImageDraw.Draw(large), 4)
    return large.reduce(4)


def write(
    sheet: Image.Image,
    position: tuple[int, int],
    text: str,
    size: int,
    colour: Colour,
    width: int | None = None,
    anchor: str = "ls",
) -> None:
    """Write text in Pillow's own font, shortened to ``width`` pixels."""
    font = ImageFont.load_default(size)
    text = _drawable(text)
    if width is not None and font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1].rstrip()
        text += "..."
    ImageDraw.Draw(sheet).text(position, text, colour, font, anchor)


def _drawable(text: str) -> str:
    """``text`` in the characters of Pillow's own font, which are those of ASCII."""
    plain = text_safe(text).translate({0x2032: "'", 0x2019: "'", 0x2013: "-", 0x2192: "->"})
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
