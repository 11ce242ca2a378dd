"""Pictures in the terminal, two pixels per character."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.text import Text

_WIDEST = 32


def draw_pair(path: Path) -> None:
    """Draw a difference's A, A′ and preview side by side, as far as its file has them."""
    from rich.columns import Columns
    from rich.console import Console, Group
    from rich.text import Text

    from ..difference import load
    from ..pictures.writing import from_webp

    thumbnails = load(path).thumbnails
    titles = {"a": "A", "a_prime": "A′", "preview": "preview"}
    named = [(title, thumbnails[key]) for key, title in titles.items() if key in thumbnails]
    console = Console(highlight=False)
    width = max(8, min(_WIDEST, console.width // 3 - 2))
    drawn = [
        Group(Text(title, style="bold"), half_blocks(from_webp(data), width))
        for title, data in named
    ]
    console.print(Columns(drawn, padding=(0, 2)))


def half_blocks(image: Image, width: int) -> Text:
    """A picture as upper half blocks: the upper pixel in the foreground, the lower behind it."""
    import numpy as np
    from rich.style import Style
    from rich.text import Text

    height = max(2, round(image.height / image.width * width / 2) * 2)
    pixels = np.asarray(image.convert("RGB").resize((width, height))).tolist()
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=_hex(*above), bgcolor=_hex(*below)))
        text.append("\n")
    return text


def _hex(red: int, green: int, blue: int) -> str:
    return f"#{red:02x}{green:02x}{blue:02x}"
