"""Pictures: opened with care, framed, compared, kept as thumbnails, put on a contact sheet."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from .errors import DiffinvError, UsageError
from .files import atomic_write
from .text import natural_key, path_text, text_safe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_SIDE = 8
MAX_SIDE = 20_000
MAX_PIXELS = 80_000_000
MAX_RATIO = 8
"""What :func:`open_image` accepts: pixels a side, pixels in all, longer side to shorter side."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm")
"""What :func:`list_images` takes for a picture."""

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO", "QOI")
"""Formats whose decoders start no other program."""

_LANCZOS = Image.Resampling.LANCZOS


# Opening


def open_image(path: Path) -> Image.Image:
    """The picture in a file: RGB, 8 bits a channel, upright, in sRGB.

    Camera orientation is applied, an embedded colour profile is converted to sRGB, transparency
    is laid on white, 16-bit and floating-point values are scaled, of an animation the first frame
    is taken. Raises UsageError where there is no such file, DiffinvError where it is no picture,
    is damaged, is smaller than ``MIN_SIDE``, or larger or longer than the limits above.
    """
    shown = path_text(path)
    try:
        _check_file(path, shown)
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decode(file, shown)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(f"{shown} cannot be read ({reason}); check its permissions.") from error


def _check_file(path: Path, shown: str) -> None:
    if path.is_dir():
        raise UsageError(f"{shown} is a folder; name a picture in it.")
    if not path.exists():
        raise UsageError(f"{shown} does not exist; check the path.")
    if not path.is_file():
        raise UsageError(f"{shown} is not a regular file; name a picture.")
    if path.stat().st_size == 0:
        raise DiffinvError(f"{shown} is empty (0 bytes); use another copy of the picture.")


def _decode(file: BinaryIO, shown: str) -> Image.Image:
    try:
        image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise DiffinvError(
            f"{shown} is not a picture that can be read; save it as PNG, JPEG or WebP."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(shown, "has too many pixels") from error
    except Exception as error:  # decoders raise all kinds of errors for damaged files
        raise _damaged(shown) from error
    with image:
        _check_size(image.width, image.height, shown)
        try:
            image.load()
            return _to_rgb(_upright(image))
        except Exception as error:
            raise _damaged(shown) from error


def _damaged(shown: str) -> DiffinvError:
    return DiffinvError(f"{shown} is damaged or incomplete; use another copy of the picture.")


def _too_large(shown: str, problem: str) -> DiffinvError:
    return DiffinvError(f"{shown} {problem}; crop it or scale it down first.")


def _check_size(width: int, height: int, shown: str) -> None:
    """Refuse sizes nobody can mean, before any pixel is decoded."""
    size = f"is {width} x {height} pixels"
    if min(width, height) < MIN_SIDE:
        raise DiffinvError(
            f"{shown} {size}, too small to learn from; "
            f"use a picture of at least {MIN_SIDE} x {MIN_SIDE}."
        )
    if max(width, height) > MAX_SIDE:
        raise _too_large(shown, f"{size}, more than {MAX_SIDE} on a side")
    if width * height > MAX_PIXELS:
        raise _too_large(shown, f"{size}, more than {MAX_PIXELS // 10**6} megapixels")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise DiffinvError(
            f"{shown} {size}, more than {MAX_RATIO} times as long as it is wide; "
            "crop it to the part that matters first."
        )


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # EXIF that cannot be parsed says nothing about orientation
        return image


# Colours


def _to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    colours, alpha = _split_alpha(_eight_bit(image))
    rgb = _to_srgb(colours, profile)
    if alpha is None:
        return rgb
    canvas = Image.new("RGB", rgb.size, "white")
    canvas.paste(rgb, mask=alpha)
    return canvas


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 or 32 bits or floats as 8 bits, scaled rather than clipped."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    import numpy as np

    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((values // 257).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = _value_range(float(values.min()), float(values.max()), image.mode == "F")
    scaled = (values - low) * (255 / (high - low))
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))


def _value_range(low: float, high: float, floating: bool) -> tuple[float, float]:
    """Black and white of a picture that does not say: the smallest usual range that holds it."""
    for white in (1.0, 255.0, 65535.0) if floating else (65535.0,):
        if low >= 0 and high <= white:
            return 0.0, white
    return low, max(high, low + 1)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colours (L, RGB, CMYK or another mode without alpha), and the alpha channel if any."""
    if image.mode == "LA":
        return image.convert("L"), image.getchannel("A")
    if image.mode in ("RGBA", "PA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return rgba.convert("RGB"), rgba.getchannel("A")
    if image.mode == "P":
        return image.convert("RGB"), None
    return image, None


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile and image.mode in ("L", "RGB", "CMYK"):
        with contextlib.suppress(Exception):  # a broken profile is no reason to refuse a picture
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                converted = ImageCms.profileToProfile(
                    image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                if converted is not None:
                    return converted
    return image.convert("RGB")


# Framing


def fit_square(image: Image.Image, side: int) -> Image.Image:
    """The centred square of an RGB picture at ``side`` x ``side`` pixels.

    A picture that is this size already keeps its pixels.
    """
    if image.size == (side, side):
        return image.copy()
    return ImageOps.fit(image, (side, side), _LANCZOS)


def framing_warning(a: Image.Image, a_prime: Image.Image) -> str | None:
    """One sentence where A and A' differ in shape by more than 1 %, so that cropping both to a
    square shows different parts of the scene."""
    ratios = sorted(image.width / image.height for image in (a, a_prime))
    if ratios[1] <= ratios[0] * 1.01:
        return None
    sizes = " and ".join(f"{image.width} x {image.height}" for image in (a, a_prime))
    return (
        f"The example's pictures differ in shape ({sizes}), so their centred squares may not show "
        "the same part; crop them alike for a better difference."
    )


def unlike_warning(a: Image.Image, a_prime: Image.Image) -> str | None:
    """One sentence where A and A' hardly show the same scene: most pixels differ, and the edges of
    the one are not where those of the other are. Pictures without edges say nothing."""
    import numpy as np

    small = [np.asarray(fit_square(image, 48), dtype=np.float32) / 255 for image in (a, a_prime)]
    changed = float((np.abs(small[0] - small[1]).max(-1) > 0.1).mean())
    edges = [_edges(pixels.mean(-1)) for pixels in small]
    if changed <= 0.5 or min(float(edge.std()) for edge in edges) < 1e-3:
        return None
    alike = float(np.corrcoef(edges[0].ravel(), edges[1].ravel())[0, 1])
    if alike >= 0.3:
        return None
    return (
        "A and A′ are hardly alike, so what is learned may be the whole scene instead of one "
        "change; take two pictures of the same scene."
    )


def _edges(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """How steep a picture is at each pixel."""
    import numpy as np

    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    steepness: NDArray[np.float32] = np.hypot(across, down)
    return steepness


def list_images(folder: Path) -> list[Path]:
    """Every picture in a folder and the folders in it, by suffix, in natural order.

    Hidden files and folders are skipped, links to folders not followed. Raises UsageError where
    the folder does not exist.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{path_text(folder)} {problem}; name a folder of pictures.")
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = (n for n in files if not n.startswith(".") and n.lower().endswith(SUFFIXES))
        found += [Path(root, name) for name in names]
    return sorted(found, key=lambda path: [natural_key(p) for p in path.relative_to(folder).parts])


def pixel_hash(image: Image.Image) -> str:
    """SHA-256 (64 hex digits) of an RGB picture's size and pixels, whatever file held them."""
    size = f"{image.width}x{image.height}:".encode()
    return hashlib.sha256(size + image.convert("RGB").tobytes()).hexdigest()


# Keeping


def to_webp(image: Image.Image, side: int = 256) -> bytes:
    """A thumbnail: WebP, at most ``side`` pixels a side, never enlarged."""
    small = image.convert("RGB")
    small.thumbnail((side, side), _LANCZOS)
    stream = io.BytesIO()
    small.save(stream, "WEBP", quality=90, method=4)
    return stream.getvalue()


def from_webp(data: bytes) -> Image.Image:
    """The RGB picture of a thumbnail. Raises DiffinvError for anything else than a small WebP."""
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if max(image.size) > 2048:
                raise ValueError("too large for a thumbnail")
            return image.convert("RGB")
    except Exception as error:  # the bytes may come from anywhere
        raise DiffinvError(
            "A thumbnail is damaged; learn the difference again to renew it."
        ) from error


def to_png(image: Image.Image) -> bytes:
    """The PNG file of a picture."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises DiffinvError where it cannot be written."""
    atomic_write(path, to_png(image))


# Contact sheet

_TILE, _GAP, _PAD, _MARGIN, _SPACE = 192, 58, 22, 48, 24
_CARD = (2 * _TILE + _GAP + 2 * _PAD, _TILE + 2 * _PAD + 26)
_PAPER, _WHITE, _LINE = (246, 245, 241), (255, 255, 255), (228, 226, 219)
_INK, _GREY, _ACCENT = (38, 40, 46), (122, 124, 130), (214, 108, 58)

Pair = tuple[Image.Image, Image.Image]
Colour = tuple[int, int, int]


def contact_sheet(
    a: Image.Image, a_prime: Image.Image, rows: Sequence[Pair], title: str
) -> Image.Image:
    """One picture that explains itself: the example A and A', below it every B beside its B'.

    All pictures are RGB of any size and shown as squares; ``rows`` holds (B, B') and may be
    empty. The result is RGB, two to four pairs wide.
    """
    columns = 2 if len(rows) <= 4 else 3 if len(rows) <= 9 else 4
    lines = -(-len(rows) // columns)
    top = _MARGIN + 64
    grid = top + _CARD[1] + 84
    bottom = grid + lines * (_CARD[1] + _SPACE) - _SPACE if rows else top + _CARD[1]
    width = 2 * _MARGIN + columns * _CARD[0] + (columns - 1) * _SPACE
    sheet = Image.new("RGB", (width, bottom + _MARGIN), _PAPER)
    _write(sheet, (_MARGIN, _MARGIN + 26), title, 34, _INK, width - 2 * _MARGIN)
    _draw_card(sheet, (_MARGIN, top), (a, a_prime), "A", accent=True)
    _explain(sheet, (_MARGIN + _CARD[0] + _SPACE + 8, top), bool(rows))
    if rows:
        _write(sheet, (_MARGIN, grid - 26), "The same difference, applied", 24, _INK)
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
    _write(sheet, (left, top + 82), "The example", 24, _ACCENT)
    for index, line in enumerate(lines):
        _write(sheet, (left, top + 118 + 27 * index), line, 18, _GREY)


def _draw_card(
    sheet: Image.Image, corner: tuple[int, int], pair: Pair, letter: str, accent: bool = False
) -> None:
    left, top = corner
    edge = _ACCENT if accent else _LINE
    _paste_rounded(sheet, Image.new("RGB", _CARD, edge), corner, 16)
    _paste_rounded(
        sheet, Image.new("RGB", (_CARD[0] - 4, _CARD[1] - 4), _WHITE), (left + 2, top + 2), 14
    )
    for index, (image, label) in enumerate(zip(pair, (letter, f"{letter}'"), strict=True)):
        x = left + _PAD + index * (_TILE + _GAP)
        _paste_rounded(sheet, _tile(image), (x, top + _PAD), 8)
        middle = (x + _TILE // 2, top + _PAD + _TILE + 26)
        _write(sheet, middle, label, 19, _INK, anchor="ms")
    arrow = (left + _PAD + _TILE, top + _PAD + _TILE // 2)
    _draw_arrow(sheet, arrow, _ACCENT if accent else _GREY)


def _tile(image: Image.Image) -> Image.Image:
    square = fit_square(image, min(image.size)) if image.width != image.height else image
    tiny = square.width <= 128
    return square.resize((_TILE, _TILE), Image.Resampling.BICUBIC if tiny else _LANCZOS)


def _paste_rounded(
    sheet: Image.Image, image: Image.Image, corner: tuple[int, int], radius: int
) -> None:
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


def _write(
    sheet: Image.Image,
    position: tuple[int, int],
    text: str,
    size: int,
    colour: Colour,
    width: int | None = None,
    anchor: str = "ls",
) -> None:
    """Text in Pillow's own font, shortened to ``width`` pixels."""
    font = ImageFont.load_default(size)
    text = _drawable(text)
    if width is not None and font.getlength(text) > width:
        while text and font.getlength(text + "...") > width:
            text = text[:-1].rstrip()
        text += "..."
    ImageDraw.Draw(sheet).text(position, text, colour, font, anchor)


def _drawable(text: str) -> str:
    """``text`` in the characters that Pillow's own font has, which are those of ASCII."""
    plain = text_safe(text).translate({0x2032: "'", 0x2019: "'", 0x2013: "-", 0x2192: "->"})
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
