"""Draws a scene of the diorama world as a small flat-vector landscape.

Pictures are drawn at three times their size and scaled down. The same scene and layout seed always
give the same pixels; two scenes with the same seed share position, size, hue and landscape. Any
size and shape can be drawn: a wide or tall picture shows more of the same landscape around the
square.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from .world import Scene

SIZE = 96
"""Side of a picture in pixels."""

_SCALE = 3

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

_SKY = {
    "day": ((96, 172, 232), (206, 234, 248)),
    "sunset": ((108, 72, 140), (252, 160, 98)),
    "night": ((14, 20, 54), (46, 62, 116)),
}
_TINT = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.78, 0.70), "night": (0.45, 0.50, 0.72)}
_GROUND = {"grass": (112, 176, 78), "sand": (232, 204, 138), "snow": (242, 246, 252)}
_ACCENT = {
    "red": (214, 46, 44),
    "blue": (44, 92, 216),
    "yellow": (246, 204, 40),
    "purple": (146, 62, 184),
}


@dataclass(frozen=True)
class Layout:
    """What varies freely between pictures of one scene. Lengths are fractions of the side."""

    x: float
    size: float
    horizon: float
    hue: tuple[float, float, float]
    sky_x: float
    sky_y: float
    ridge: tuple[float, ...]
    clouds: tuple[tuple[float, float, float], ...]
    stars: tuple[tuple[float, float], ...]
    tufts: tuple[tuple[float, float], ...]
    slope: float

    @classmethod
    def from_seed(cls, seed: int) -> Layout:
        """Draw a layout; every number comes from the seed alone."""
        rng = np.random.default_rng(seed)
        u = rng.uniform
        left = bool(rng.integers(2))
        x = u(0.27, 0.42) if left else u(0.58, 0.73)
        sky_x = u(0.68, 0.84) if left else u(0.16, 0.32)
        return cls(
            x=x,
            size=u(0.88, 1.12),
            horizon=u(0.60, 0.68),
            hue=(u(0.94, 1.06), u(0.94, 1.06), u(0.94, 1.06)),
            sky_x=sky_x,
            sky_y=u(0.18, 0.28),
            ridge=tuple(u(0.0, 1.0, size=8)),
            clouds=tuple((u(0.05, 0.95), u(0.06, 0.34), u(0.7, 1.2)) for _ in range(2)),
            stars=tuple((u(0, 1), u(0, 0.5)) for _ in range(14)),
            tufts=tuple((u(0, 1), u(0.12, 0.95)) for _ in range(7)),
            slope=u(-0.03, 0.03),
        )


class _Painter:
    """Draws with fractional coordinates and the light of the scene.

    The scene's square has the side ``unit`` in the middle of the picture; ``left`` and ``right``
    are where the picture ends, 0 and 1 if it is a square.
    """

    def __init__(self, image: Image.Image, scene: Scene, layout: Layout) -> None:
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.scene = scene
        self.layout = layout
        self.unit = min(image.size)
        self._x, self._y = ((side - self.unit) / 2 for side in image.size)
        self.left, self.bottom = -self._x / self.unit, 1 + self._y / self.unit
        self.right = 1 - self.left

    def lit(self, colour: Colour, amount: float = 1.0, alpha: int = 255) -> tuple[int, ...]:
        """The colour as it looks at the time of day; ``amount`` weakens the tint."""
        tint = _TINT[self.scene.time]
        values = (
            c * h * (1 + (t - 1) * amount)
            for c, h, t in zip(colour, self.layout.hue, tint, strict=True)
        )
        return (*(int(min(255, max(0, v))) for v in values), alpha)

    def polygon(self, points: Points, fill: tuple[int, ...]) -> None:
        self.draw.polygon([self._at(x, y) for x, y in points], fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, ...]) -> None:
        self.draw.rectangle((*self._at(x0, y0), *self._at(x1, y1)), fill=fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: tuple[int, ...]) -> None:
        self.draw.ellipse((*self._at(x - rx, y - ry), *self._at(x + rx, y + ry)), fill=fill)

    def arc(self, x: float, y: float, r: float, fill: tuple[int, ...], width: float) -> None:
        box = (*self._at(x - r, y - r), *self._at(x + r, y + r))
        self.draw.arc(box, 180, 360, fill=fill, width=int(width * self.unit))

    def line(self, points: Points, fill: tuple[int, ...], width: float) -> None:
        ends = [self._at(x, y) for x, y in points]
        self.draw.line(ends, fill=fill, width=int(width * self.unit))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return x * self.unit + self._x, y * self.unit + self._y


def render(scene: Scene, seed: int, width: int = SIZE, height: int = SIZE) -> Image.Image:
    """The picture of ``scene`` in the layout of ``seed``: RGB, ``width`` x ``height`` pixels."""
    layout = Layout.from_seed(seed)
    image = _sky_gradient(scene, layout, width * _SCALE, height * _SCALE)
    painter = _Painter(image, scene, layout)
    _draw_heavens(painter)
    _draw_backdrop(painter)
    _draw_ground(painter)
    _draw_building(painter)
    return image.resize((width, height), Image.Resampling.BOX)


def _sky_gradient(scene: Scene, layout: Layout, width: int, height: int) -> Image.Image:
    top, bottom = (np.array(c, dtype=np.float32) for c in _SKY[scene.time])
    unit = min(width, height)
    above, sky = (height - unit) // 2, int(unit * 0.72)
    rows = np.linspace(0, 1, sky, dtype=np.float32)
    before = np.zeros(above, dtype=np.float32)
    after = np.ones(height - above - sky, dtype=np.float32)
    rows = np.concatenate([before, rows, after])[:, None]
    column = (top * (1 - rows) + bottom * rows) * np.array(layout.hue, dtype=np.float32)
    pixels = np.broadcast_to(column.clip(0, 255)[:, None], (height, width, 3))
    return Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))


def _draw_heavens(p: _Painter) -> None:
    time, layout = p.scene.time, p.layout
    if time == "night":
        for x, y in layout.stars:
            p.ellipse(x, y, 0.006, 0.006, (240, 240, 255, 255))
    else:
        cloud = p.lit((255, 255, 255), 0.35, 225)
        for x, y, size in layout.clouds:
            for dx, dy, r in ((-0.06, 0.012, 0.032), (0, -0.008, 0.045), (0.06, 0.012, 0.034)):
                p.ellipse(x + dx * size, y + dy * size, r * size * 1.25, r * size * 0.8, cloud)
    if time == "sunset":
        p.ellipse(0.5, layout.horizon, 0.15, 0.15, (255, 206, 120, 255))
    if p.scene.sky == "rainbow":
        _draw_rainbow(p)
    elif p.scene.sky == "balloon":
        _draw_balloon(p)
    elif p.scene.sky == "moon":
        _draw_moon(p)


def _draw_rainbow(p: _Painter) -> None:
    bands = (
        (226, 64, 60),
        (246, 150, 50),
        (250, 220, 70),
        (84, 184, 92),
        (70, 120, 220),
        (136, 80, 190),
    )
    for i, colour in enumerate(bands):
        p.arc(0.5, p.layout.horizon, 0.56 - i * 0.024, p.lit(colour, 0.35), 0.026)


def _draw_balloon(p: _Painter) -> None:
    x, y = p.layout.sky_x, p.layout.sky_y
    rope = p.lit((90, 60, 40))
    p.line([(x - 0.06, y + 0.06), (x - 0.024, y + 0.165)], rope, 0.008)
    p.line([(x + 0.06, y + 0.06), (x + 0.024, y + 0.165)], rope, 0.008)
    p.ellipse(x, y, 0.105, 0.115, p.lit((255, 118, 32), 0.5))
    p.ellipse(x, y, 0.045, 0.115, p.lit((255, 244, 226), 0.5))
    p.box(x - 0.03, y + 0.16, x + 0.03, y + 0.205, p.lit((140, 90, 50), 0.6))


def _draw_moon(p: _Painter) -> None:
    x, y = p.layout.sky_x, p.layout.sky_y
    glow = (255, 252, 220, 70)
    p.ellipse(x, y, 0.125, 0.125, glow)
    p.ellipse(x, y, 0.09, 0.09, (252, 246, 214, 255))
    for dx, dy, r in ((-0.03, -0.02, 0.02), (0.03, 0.03, 0.025), (0.025, -0.04, 0.014)):
        p.ellipse(x + dx, y + dy, r, r, (224, 216, 182, 255))


def _draw_backdrop(p: _Painter) -> None:
    {"mountains": _draw_mountains, "forest": _draw_forest, "sea": _draw_sea}[p.scene.backdrop](p)


def _repeats(p: _Painter, step: float, count: int) -> range:
    """The numbers of things ``step`` apart, ``count`` of them in the square."""
    more = int(np.ceil(-p.left / step))
    return range(-more, count + more)


def _draw_mountains(p: _Painter) -> None:
    h, ridge = p.layout.horizon + 0.04, p.layout.ridge
    for i, (shift, rise, shade) in enumerate(
        ((-0.08, 0.20, (128, 138, 176)), (0.06, 0.13, (98, 108, 150)))
    ):
        for j in _repeats(p, 0.33, 4):
            x = j * 0.33 + shift + 0.12 * ridge[i * 4 + j % 4]
            top = h - rise - 0.09 * ridge[(i * 4 + j + 3) % 8]
            width = 0.24
            p.polygon([(x - width, h), (x, top), (x + width, h)], p.lit(shade))
            cap = 0.26
            drop = (h - top) * cap
            p.polygon(
                [(x - width * cap, top + drop), (x, top), (x + width * cap, top + drop)],
                p.lit((240, 244, 252), 0.8),
            )


def _draw_forest(p: _Painter) -> None:
    h, ridge = p.layout.horizon + 0.04, p.layout.ridge
    p.box(p.left, h - 0.06, p.right, h, p.lit((34, 84, 62)))
    for i in _repeats(p, 1 / 12, 13):
        x = i / 12 + 0.03 * (ridge[i % 8] - 0.5)
        top = h - 0.15 - 0.09 * ridge[(i * 3) % 8]
        shade = (44, 104, 70) if i % 2 else (36, 90, 66)
        p.polygon([(x - 0.065, h), (x, top), (x + 0.065, h)], p.lit(shade))


def _draw_sea(p: _Painter) -> None:
    h, ridge = p.layout.horizon, p.layout.ridge
    top = h - 0.13
    p.box(p.left, top, p.right, h + 0.06, p.lit((40, 130, 190)))
    for i in range(8):
        y = top + 0.018 + 0.014 * i
        x = ridge[i] * 0.9
        p.box(x, y, x + 0.1, y + 0.007, p.lit((168, 220, 240), 0.9))


def _draw_ground(p: _Painter) -> None:
    h, slope = p.layout.horizon, p.layout.slope
    base = _GROUND[p.scene.ground]
    edge = [(x, h + slope * (2 * x - 1) - 0.02 * np.sin(np.pi * x)) for x in np.linspace(0, 1, 9)]
    p.polygon(_down(p, edge), p.lit(base))
    dark: Colour = tuple(int(c * 0.9) for c in base)  # type: ignore[assignment]
    near = [
        (x, h + 0.2 - slope * (2 * x - 1) + 0.02 * np.sin(np.pi * x)) for x in np.linspace(0, 1, 9)
    ]
    p.polygon(_down(p, near), p.lit(dark))
    for x, depth in p.layout.tufts:
        _draw_tuft(p, x, h + 0.04 + depth * (0.96 - h))


def _down(p: _Painter, edge: Points) -> Points:
    """Everything below an edge, which goes on level beyond the square."""
    sides = [(p.left, edge[0][1])], [(p.right, edge[-1][1])]
    if p.left == 0:
        sides = [], []
    return [*sides[0], *edge, *sides[1], (p.right, p.bottom), (p.left, p.bottom)]


def _draw_tuft(p: _Painter, x: float, y: float) -> None:
    if p.scene.ground == "grass":
        blade = p.lit((66, 130, 56))
        p.polygon([(x - 0.018, y), (x - 0.012, y - 0.035), (x, y)], blade)
        p.polygon([(x - 0.008, y), (x + 0.012, y - 0.042), (x + 0.016, y)], blade)
    elif p.scene.ground == "sand":
        p.ellipse(x, y, 0.035, 0.009, p.lit((204, 168, 100)))
    else:
        p.ellipse(x, y, 0.03, 0.011, p.lit((204, 218, 238)))


def _draw_building(p: _Painter) -> None:
    layout = p.layout
    base = layout.horizon + 0.15
    s = layout.size
    p.ellipse(layout.x, base, 0.2 * s, 0.025, (20, 30, 40, 70))
    if p.scene.detail == "flag":
        _draw_flag(p, base, s)
    draw = {
        "cabin": _draw_cabin,
        "castle": _draw_castle,
        "windmill": _draw_windmill,
        "lighthouse": _draw_lighthouse,
        "church": _draw_church,
    }[p.scene.building]
    draw(p, layout.x, base, s)


def _draw_flag(p: _Painter, base: float, s: float) -> None:
    side = 1 if p.layout.x < 0.5 else -1
    x = p.layout.x + side * 0.255
    top = base - 0.30
    p.box(x - 0.009, top, x + 0.009, base + 0.01, p.lit((70, 50, 44), 0.6))
    p.polygon(
        [(x, top), (x + side * 0.16, top + 0.055), (x, top + 0.11)], p.lit((255, 96, 160), 0.4)
    )


def _window(p: _Painter, x: float, y: float, w: float, h: float) -> None:
    """One window: dark, or glowing when the scene's detail is ``lit``."""
    if p.scene.detail == "lit":
        p.ellipse(x, y, w * 1.5, h * 1.35, (255, 220, 90, 90))
        p.box(x - w, y - h, x + w, y + h, (255, 238, 120, 255))
    else:
        p.box(x - w, y - h, x + w, y + h, p.lit((58, 62, 84), 0.9))


def _accent(p: _Painter) -> tuple[int, ...]:
    return p.lit(_ACCENT[p.scene.colour], 0.4)


def _draw_cabin(p: _Painter, x: float, base: float, s: float) -> None:
    wall, w, h = p.lit((166, 112, 70), 0.8), 0.165 * s, 0.16 * s
    p.box(x - w, base - h, x + w, base, wall)
    for i in (1, 2, 3):
        y = base - h * i / 4
        p.box(x - w, y, x + w, y + 0.006, p.lit((132, 84, 50), 0.8))
    p.box(x + w * 0.45, base - h - 0.2 * s, x + w * 0.72, base - h, p.lit((128, 96, 90), 0.8))
    p.polygon(
        [(x - w * 1.25, base - h), (x, base - h - 0.16 * s), (x + w * 1.25, base - h)], _accent(p)
    )
    p.box(x - 0.035 * s, base - 0.1 * s, x + 0.035 * s, base, p.lit((84, 52, 36), 0.8))
    for dx in (-0.1 * s, 0.1 * s):
        _window(p, x + dx, base - 0.09 * s, 0.03 * s, 0.032 * s)


def _draw_castle(p: _Painter, x: float, base: float, s: float) -> None:
    stone, dark = p.lit((190, 190, 200), 0.8), p.lit((158, 158, 172), 0.8)
    w, h = 0.13 * s, 0.19 * s
    p.box(x - w, base - h, x + w, base, dark)
    for i in range(5):
        cx = x - w + (i + 0.5) * 2 * w / 5
        p.box(cx - 0.014 * s, base - h - 0.03 * s, cx + 0.014 * s, base - h, dark)
    for side in (-1, 1):
        tx = x + side * 0.145 * s
        p.box(tx - 0.048 * s, base - 0.29 * s, tx + 0.048 * s, base, stone)
        p.polygon(
            [
                (tx - 0.068 * s, base - 0.29 * s),
                (tx, base - 0.44 * s),
                (tx + 0.068 * s, base - 0.29 * s),
            ],
            _accent(p),
        )
        _window(p, tx, base - 0.2 * s, 0.02 * s, 0.036 * s)
    p.ellipse(x, base - 0.07 * s, 0.042 * s, 0.05 * s, p.lit((84, 62, 50), 0.8))
    p.box(x - 0.042 * s, base - 0.07 * s, x + 0.042 * s, base, p.lit((84, 62, 50), 0.8))


def _draw_windmill(p: _Painter, x: float, base: float, s: float) -> None:
    body = p.lit((240, 232, 214), 0.8)
    p.polygon(
        [
            (x - 0.11 * s, base),
            (x - 0.07 * s, base - 0.28 * s),
            (x + 0.07 * s, base - 0.28 * s),
            (x + 0.11 * s, base),
        ],
        body,
    )
    p.polygon(
        [(x - 0.09 * s, base - 0.27 * s), (x, base - 0.38 * s), (x + 0.09 * s, base - 0.27 * s)],
        _accent(p),
    )
    hub = base - 0.28 * s
    for k in range(4):
        angle = np.pi / 4 + k * np.pi / 2
        dx, dy = np.cos(angle), np.sin(angle)
        tip = (x + 0.23 * s * dx, hub + 0.23 * s * dy)
        near = (x + 0.05 * s * dx, hub + 0.05 * s * dy)
        nx, ny = -dy * 0.05 * s, dx * 0.05 * s
        p.polygon([near, tip, (tip[0] + nx, tip[1] + ny), (near[0] + nx, near[1] + ny)], _accent(p))
        p.line([(x, hub), tip], p.lit((96, 66, 46), 0.8), 0.012)
    p.ellipse(x, hub, 0.018 * s, 0.018 * s, p.lit((96, 66, 46), 0.8))
    p.box(x - 0.03 * s, base - 0.08 * s, x + 0.03 * s, base, p.lit((110, 74, 50), 0.8))
    _window(p, x, base - 0.145 * s, 0.026 * s, 0.032 * s)


def _draw_lighthouse(p: _Painter, x: float, base: float, s: float) -> None:
    def half_width(t: float) -> float:
        return (0.085 - 0.03 * t) * s

    height, bands = 0.40 * s, 5
    for i in range(bands):
        lo, hi = i / bands, (i + 1) / bands
        colour = _accent(p) if i % 2 == 0 else p.lit((250, 250, 250), 0.7)
        y0, y1 = base - lo * height, base - hi * height
        a, b = half_width(lo), half_width(hi)
        p.polygon([(x - a, y0), (x - b, y1), (x + b, y1), (x + a, y0)], colour)
    top = base - height
    p.box(x - 0.075 * s, top - 0.012, x + 0.075 * s, top + 0.004, p.lit((60, 60, 70), 0.8))
    _window(p, x, top - 0.045 * s, 0.036 * s, 0.036 * s)
    p.polygon(
        [(x - 0.06 * s, top - 0.08 * s), (x, top - 0.135 * s), (x + 0.06 * s, top - 0.08 * s)],
        _accent(p),
    )
    p.box(x - 0.028 * s, base - 0.06 * s, x + 0.028 * s, base, p.lit((70, 50, 44), 0.8))
    _window(p, x, base - 0.2 * s, 0.024 * s, 0.03 * s)


def _draw_church(p: _Painter, x: float, base: float, s: float) -> None:
    wall = p.lit((246, 240, 228), 0.8)
    p.box(x - 0.06 * s, base - 0.17 * s, x + 0.19 * s, base, wall)
    p.polygon(
        [
            (x - 0.06 * s, base - 0.165 * s),
            (x, base - 0.27 * s),
            (x + 0.16 * s, base - 0.27 * s),
            (x + 0.21 * s, base - 0.165 * s),
        ],
        _accent(p),
    )
    tx = x - 0.1 * s
    p.box(tx - 0.062 * s, base - 0.28 * s, tx + 0.062 * s, base, wall)
    p.polygon(
        [
            (tx - 0.078 * s, base - 0.28 * s),
            (tx, base - 0.46 * s),
            (tx + 0.078 * s, base - 0.28 * s),
        ],
        _accent(p),
    )
    gold = p.lit((90, 80, 70), 0.5)
    p.box(tx - 0.007, base - 0.53 * s, tx + 0.007, base - 0.45 * s, gold)
    p.box(tx - 0.026, base - 0.51 * s, tx + 0.026, base - 0.495 * s, gold)
    p.box(tx - 0.028 * s, base - 0.08 * s, tx + 0.028 * s, base, p.lit((110, 74, 50), 0.8))
    for wx in (x + 0.03 * s, x + 0.125 * s):
        _window(p, wx, base - 0.085 * s, 0.024 * s, 0.04 * s)
    _window(p, tx, base - 0.2 * s, 0.024 * s, 0.032 * s)
