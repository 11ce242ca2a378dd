"""Opens picture files with care: whatever is in one, the outcome is a picture or one sentence."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeVar

from PIL import Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from ..errors import DiffinvError, UsageError
from ..system.paths import given_path
from ..system.streams import swallowed
from ..system.text import natural_key, path_text
from .camera_notes import camera_notes
from .colour import to_rgb
from .extra_formats import (
    RAW_SUFFIXES,
    developed,
    is_raw,
    needs_library,
    raw_size,
    register_openers,
)
from .sixteen_bit import has_sixteen
from .sizes import MAX_SIDE, MIN_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

Source: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[Any]"
"""A picture as scripts can give it: see :func:`read_picture`."""

T = TypeVar("T")

_INSTALL = "pip install 'diffinv[photo]'"
"""What brings the libraries for formats that need them."""

_FILMS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v")

MAX_PIXELS = 170_000_000

MAX_RATIO = 8
"""What :func:`open_image` accepts: pixels in all, ratio of longer to shorter side."""

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm"),
    *(".jp2", ".qoi", ".heic", ".heif", ".jxl"),
    *RAW_SUFFIXES,
)
"""What :func:`list_images` takes for a picture."""

_FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "AVIF",
    "PPM",
    "JPEG2000",
    "ICO",
    "QOI",
)
"""Formats whose decoders start no other program."""

_MOVING = ("GIF", "WEBP", "PNG", "AVIF")
"""Formats whose files may be films; several pages of a TIFF are none."""

_EXTRA_FORMATS = ("HEIF", "JXL")
"""Those of libraries that may be installed."""


def open_image(path: Path) -> Image.Image:
    """The picture in a file: RGB in sRGB, 8 bits per channel, upright.

    Camera orientation is applied, an embedded colour profile is converted to sRGB, transparency is
    put on white, 16-bit and floating-point values are scaled, and only an animation's first frame
    is used. Raises UsageError if there is no such file, DiffinvError if it is not a picture, is
    damaged, is smaller than ``MIN_SIDE``, or is larger or longer than the limits here.
    """
    return read_with(path, to_rgb)


def read_with(path: Path, take: Callable[[Image.Image], T]) -> T:
    """What ``take`` makes of a decoded picture, upright; errors as those of :func:`open_image`.
    Its ``info`` also has how a JPEG is compressed (``diffinv_jpeg``), whether a WebP lost nothing
    (``diffinv_lossless``), how many frames there are (``diffinv_frames``), and the orientation of
    one that can be read with 16 bits a channel (``diffinv_sixteen``)."""
    shown = path_text(path)
    try:
        _check_file(path, shown)
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            if kind := needs_library(path):
                raise DiffinvError(f"{shown} is {kind}, which needs one more library: {_INSTALL}.")
            return _develop(path, shown, take) if is_raw(path) else _decode(file, shown, take)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(f"{shown} cannot be read ({reason}); check its permissions.") from error


def upright_size(path: Path) -> tuple[int, int] | None:
    """A picture's width and height by its header alone; None if it cannot be read."""
    register_openers()
    try:
        if is_raw(path):
            return raw_size(path)
        with path.open("rb") as file, Image.open(file) as image:
            turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
            return (image.height, image.width) if turned else image.size
    except Exception:  # opening it for real will say what is wrong
        return None


def read_picture(source: Source, called: str) -> Image.Image:
    """A file as :func:`open_image` opens it, or a Pillow picture or array converted likewise.

    An array is [h, w], [h, w, 3] or [h, w, 4]: uint8, or floats in [0, 1]. ``called`` names the
    picture if it has no file. Raises UsageError for anything else.
    """
    if isinstance(source, str | os.PathLike):
        return open_image(given_path(os.fspath(source)))
    shown = f"The picture given as {called}"
    picture = source if isinstance(source, Image.Image) else _from_array(source, shown)
    _check_size(picture.width, picture.height, shown)
    try:
        return to_rgb(_upright(picture))
    except Exception as error:  # a Pillow picture may be the lazy view of a damaged file
        raise _damaged(shown) from error


def named(source: Source, called: str) -> str:
    """A picture's name for messages: its file, or what it is called."""
    if isinstance(source, str | os.PathLike):
        return repr(str(source))
    return f"the picture given as {called}"


def _from_array(values: object, shown: str) -> Image.Image:
    import numpy as np

    array = np.asarray(values)
    if np.issubdtype(array.dtype, np.floating) and array.size:
        if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
            raise UsageError(f"{shown} has numbers outside [0, 1]; scale it first.")
        array = (array * 255).round().astype(np.uint8)
    right = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if not right or array.dtype != np.uint8:
        raise UsageError(
            f"{shown} is {array.dtype} {list(array.shape)}; give a path, a Pillow "
            "picture, or an array [h, w, 3] of uint8 or of floats in [0, 1]."
        )
    return Image.fromarray(array)


def _check_file(path: Path, shown: str) -> None:
    if path.is_dir():
        raise UsageError(f"{shown} is a folder; name a picture in it.")
    if not path.exists():
        raise UsageError(f"{shown} does not exist; check the path.")
    if not path.is_file():
        raise UsageError(f"{shown} is not a regular file; name a picture.")
    if path.stat().st_size == 0:
        raise DiffinvError(f"{shown} is empty (0 bytes); use another copy of the picture.")


def _decode(file: BinaryIO, shown: str, take: Callable[[Image.Image], T]) -> T:
    register_openers()
    try:
        more = [name for name in _EXTRA_FORMATS if name in Image.OPEN]
        image = Image.open(file, formats=[*_FORMATS, *more])
    except UnidentifiedImageError as error:
        raise DiffinvError(
            f"{shown} is not a picture that can be read; save it as PNG, JPEG or WebP."
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large(shown, "has too many pixels") from error
    except Exception as error:  # decoders raise all kinds of errors for damaged files
        raise _damaged(shown) from error
    with image:
        _check_size(image.width, image.height, shown)
        try:
            turned = int(image.getexif().get(0x0112, 1)) if has_sixteen(image) else None
            with _silent(image):
                image.load()
            said = _said_by_tiff(image)
            upright = _upright(image)
            upright.info.update(
                said,
                diffinv_sixteen=turned,
                diffinv_jpeg=_compression(image),
                diffinv_lossless=image.format == "WEBP" and _is_lossless_webp(file),
                diffinv_frames=getattr(image, "n_frames", 1) if image.format in _MOVING else 1,
            )
            return take(upright)
        except Exception as error:
            raise _damaged(shown) from error


def _develop(path: Path, shown: str, take: Callable[[Image.Image], T]) -> T:
    """A camera's RAW, developed as the camera would have."""
    try:
        size = raw_size(path)
    except Exception as error:
        raise _damaged(shown) from error
    _check_size(*size, shown)
    try:
        return take(developed(path))
    except Exception as error:
        raise _damaged(shown) from error


def _compression(image: Image.Image) -> dict[str, Any]:
    """How a JPEG file is compressed, so that an edit can be compressed alike: then what was not
    changed comes back nearly as it was."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode != "RGB":
        return {}
    sampling = JpegImagePlugin.get_sampling(image)
    tables: dict[str, Any] = {"qtables": image.quantization}
    return tables | ({"subsampling": sampling} if sampling >= 0 else {})


def _is_lossless_webp(file: BinaryIO) -> bool:
    """Whether the picture of a WebP file, its first part or the one after its profile, is in the
    lossless format."""
    file.seek(0)
    data = file.read()
    place = 12
    while place + 8 <= len(data):
        name, length = (
            data[place : place + 4],
            int.from_bytes(data[place + 4 : place + 8], "little"),
        )
        if name in (b"VP8 ", b"VP8L", b"ANMF"):
            return name == b"VP8L"
        place += 8 + length + length % 2
    return False


def _said_by_tiff(image: Image.Image) -> dict[str, Any]:
    """Notes that Pillow has in a TIFF's own tags, where it has them of other formats."""
    if image.format != "TIFF":
        return {}
    with contextlib.suppress(Exception):  # what cannot be read is no reason to refuse a picture
        exif = image.getexif()
        xmp = exif.get(700)
        return {"exif": camera_notes(exif).tobytes()} | ({"xmp": xmp} if xmp else {})
    return {}


@contextlib.contextmanager
def _silent(image: Image.Image) -> Iterator[None]:
    """libtiff writes to stderr what it finds wrong."""
    with swallowed() if image.format == "TIFF" else contextlib.nullcontext():
        yield


def _damaged(shown: str) -> DiffinvError:
    return DiffinvError(f"{shown} is damaged or incomplete; use another copy of the picture.")


def _too_large(shown: str, problem: str) -> DiffinvError:
    return DiffinvError(f"{shown} {problem}; crop it or scale it down first.")


def _check_size(width: int, height: int, shown: str) -> None:
    """Refuse impossible sizes before any pixel is decoded."""
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


def list_images(folder: Path) -> list[Path]:
    """Every picture in a folder and its subfolders that can be read, by suffix, in natural order.

    Hidden files and folders are skipped, and links to folders are not followed. Raises UsageError
    if the folder does not exist.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise UsageError(f"{path_text(folder)} {problem}; name a folder of pictures.")
    found = [path for path in _files(folder) if _is_picture(path)]
    return sorted(found, key=lambda path: [natural_key(p) for p in path.relative_to(folder).parts])


def glance(folder: Path, at_most: int) -> tuple[int, bool, list[Path]]:
    """How many pictures there are among the first ``at_most`` files in a folder and its subfolders,
    whether those are all the files, and the pictures in the folder itself, in natural order."""
    files = list(itertools.islice(_files(folder), at_most + 1))
    pictures = [path for path in files[:at_most] if path.name.lower().endswith(SUFFIXES)]
    own = [path for path in pictures if path.parent == folder]
    own.sort(key=lambda path: natural_key(path.name))
    return len(pictures), len(files) <= at_most, own


def passed_over(folder: Path) -> list[Path]:
    """The files in a folder and its subfolders that :func:`list_images` takes for no picture.
    Hidden ones and the ``.txt`` with prompts do not count."""
    found = [
        path
        for path in _files(folder)
        if not _is_picture(path) and not path.name.lower().endswith(".txt")
    ]
    return sorted(found, key=lambda path: natural_key(str(path)))


def _is_picture(path: Path) -> bool:
    """Whether a file is a picture, by its suffix, and can be read."""
    return path.name.lower().endswith(SUFFIXES) and not needs_library(path)


def _files(folder: Path) -> Iterator[Path]:
    """What is in a folder and its subfolders, except what is hidden; no link to a folder is
    followed."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(root, name) for name in files if not name.startswith("."))


def why_not_read(path: Path) -> str:
    """In a few words, why a file was passed over."""
    if kind := needs_library(path):
        return f"{kind}: {_INSTALL}"
    return "a film, no picture" if path.suffix.lower() in _FILMS else "no picture"


def pixel_hash(image: Image.Image) -> str:
    """SHA-256 (64 hex digits) of an RGB picture's size and pixels, whatever file they came from."""
    size = f"{image.width}x{image.height}:".encode()
    return hashlib.sha256(size + image.convert("RGB").tobytes()).hexdigest()
