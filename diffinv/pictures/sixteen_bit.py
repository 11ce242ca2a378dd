"""Pictures of 16 bits a channel: read and written as PNG and TIFF, by the libraries of
``diffinv[photo]``, since Pillow has 8 bits for colours."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Words: TypeAlias = "NDArray[np.uint16]"

FORMATS = ("png", "tiff")
"""Those that are written with 16 bits."""

_TURNED = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
"""What makes a picture upright, by its orientation in EXIF."""

_TAGS = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)
"""What a TIFF of 16 bits says of camera, program, time and owner, all of it text."""
_TEXT, _BYTE = 2, 1
_XMP = 700


def has_sixteen(image: Image.Image) -> bool:
    """Whether a picture that has just been opened has 16 bits a channel in a file that is read
    with them, and the libraries for that are there."""
    tile = getattr(image, "tile", None)
    if image.format not in ("PNG", "TIFF") or not tile:
        return False
    there = find_spec("imagecodecs") and find_spec("tifffile")
    return bool(there) and ";16" in str(tile[0].args)


def read_sixteen(path: Path, orientation: int) -> Words | None:
    """The colours [h, w, 3] of a picture, upright; grey as three alike. None for a file that is
    built in another way than most."""
    import imagecodecs
    import numpy as np
    import tifffile

    data = path.read_bytes()
    if data.startswith(b"\x89PNG"):
        values = imagecodecs.png_decode(data)
    else:
        values = tifffile.imread(io.BytesIO(data), key=0)
    if values.dtype != np.uint16 or values.ndim not in (2, 3):
        return None
    if values.ndim == 3 and values.shape[2] not in (3, 4):
        return None
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    turn = _TURNED.get(orientation, lambda a: a)
    return np.ascontiguousarray(turn(values[..., :3]))


def png_of_sixteen(values: Words, alpha: Image.Image | None, notes: bytes) -> bytes:
    """A PNG of 16 bits with what another PNG, ``notes``, says beside its pixels."""
    import imagecodecs

    pixels = list(_chunks(bytes(imagecodecs.png_encode(_with_alpha(values, alpha)))))
    said = [chunk for chunk in _chunks(notes) if chunk[0] not in (b"IHDR", b"IDAT", b"IEND")]
    chunks = [pixels[0], *said, *pixels[1:]]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def tiff_of_sixteen(
    values: Words, alpha: Image.Image | None, profile: bytes | None, notes: Mapping[int, Any]
) -> bytes:
    """A TIFF of 16 bits, with the texts and the XMP among ``notes`` (by their tags)."""
    import tifffile

    texts = [(tag, _TEXT, 0, str(notes[tag]), True) for tag in _TAGS if notes.get(tag)]
    xmp = notes.get(_XMP)
    more = [(_XMP, _BYTE, len(xmp), xmp, True)] if isinstance(xmp, bytes) else []
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        _with_alpha(values, alpha),
        photometric="rgb",
        extrasamples=["unassalpha"] if alpha else None,
        compression="adobe_deflate",
        predictor=True,
        iccprofile=profile,
        extratags=[*texts, *more],
        metadata=None,
        software=False,
    )
    return stream.getvalue()


def _with_alpha(values: Words, alpha: Image.Image | None) -> Words:
    import numpy as np

    if alpha is None:
        return np.ascontiguousarray(values)
    wide = np.asarray(alpha).astype(np.uint16) * 257
    return np.concatenate([values, wide[..., None]], axis=2)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The parts of a PNG: name and contents."""
    place = 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
