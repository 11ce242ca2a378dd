"""A difference at a glance: its pair, its words and its loss curve, as a picture and as HTML."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ..system.text import text_safe
from .contact_sheet import ACCENT, GREY, INK, WHITE, paste_rounded, write
from .writing import from_webp

_TILE, _PAD, _CURVE = 192, 24, 72
_TITLES = {"a": "A", "a_prime": "A′", "preview": "A with the difference"}


@dataclass(frozen=True)
class Card:
    """What a card shows: ``thumbnails`` are WebP files by name, ``losses`` one loss per step."""

    name: str
    words: str
    facts: str
    thumbnails: Mapping[str, bytes]
    losses: Sequence[float]

    def tiles(self) -> list[tuple[str, bytes]]:
        """The available thumbnails, with their titles."""
        return [
            (title, self.thumbnails[key])
            for key, title in _TITLES.items()
            if key in self.thumbnails
        ]


def draw(card: Card) -> Image.Image:
    """The card as an RGB picture, 672 pixels wide."""
    width = 4 * _PAD + 3 * _TILE
    height = _TILE + _CURVE + 168
    picture = Image.new("RGB", (width, height), WHITE)
    write(picture, (_PAD, 42), card.name, 26, INK, width - 2 * _PAD)
    write(picture, (_PAD, 70), card.words, 15, GREY, width - 2 * _PAD)
    for index, (title, data) in enumerate(card.tiles()):
        left = _PAD + index * (_TILE + _PAD)
        tile = from_webp(data).resize((_TILE, _TILE), Image.Resampling.BICUBIC)
        paste_rounded(picture, tile, (left, 88), 8)
        write(picture, (left, 88 + _TILE + 20), title, 14, INK)
    top = 88 + _TILE + 34
    box = (_PAD, top, width - _PAD, top + _CURVE)
    points = _points(card.losses, box)
    if points:
        ImageDraw.Draw(picture).line(points, ACCENT, 2, joint="curve")
    write(picture, (_PAD, height - 16), card.facts, 13, GREY, width - 2 * _PAD)
    return picture


def to_html(card: Card) -> str:
    """The card as self-contained HTML, with all text escaped."""
    tiles = "".join(
        f'<figure style="margin:0"><img width="{_TILE}" alt="{_escaped(title)}" '
        f'src="data:image/webp;base64,{base64.b64encode(data).decode()}">'
        f"<figcaption>{_escaped(title)}</figcaption></figure>"
        for title, data in card.tiles()
    )
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _points(card.losses, (0, 4, 600, 68)))
    curve = (
        '<svg width="600" height="72" role="img" aria-label="loss">'
        f'<polyline points="{points}" fill="none" stroke="rgb{ACCENT}" stroke-width="2"/></svg>'
    )
    return (
        f"<div><strong>{_escaped(card.name)}</strong><br>{_escaped(card.words)}"
        f'<div style="display:flex;gap:16px;margin:8px 0">{tiles}</div>'
        f"{curve if points else ''}<br><small>{_escaped(card.facts)}</small></div>"
    )


def _escaped(text: str) -> str:
    return html.escape(text_safe(text))


def _points(losses: Sequence[float], box: tuple[int, int, int, int]) -> list[tuple[float, float]]:
    """The curve in a box of pixels, each point the mean of the nearest twentieth of the values,
    since single losses are noisy. Empty if there is no curve."""
    import numpy as np

    values = np.asarray(losses, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return []
    size = max(1, len(values) // 20)
    smooth = np.convolve(values, np.ones(size) / size, "valid")
    low, high = smooth.min(), smooth.max()
    left, top, right, bottom = box
    xs = np.linspace(left, right, len(smooth))
    ys = bottom - (smooth - low) / max(high - low, 1e-12) * (bottom - top)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))
