"""Writes a camera's RAW file: a small DNG, its pixels a Bayer mosaic."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 10: 8}
_CODES = {1: "B", 3: "H", 4: "I"}


def write_dng(path: Path, picture: np.ndarray, orientation: int = 1) -> None:
    """A picture [h, w, 3] (uint8, linear) as a DNG of 16 bits, with camera and time."""
    height, width = picture.shape[:2]
    mosaic = np.empty((height, width), "<u2")
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[y::2, x::2] = picture[y::2, x::2, channel].astype(np.uint16) * 257
    identity = [int(10_000 * value) for value in (3.24, -1.54, -0.5, -0.97, 1.88, 0.04)]
    identity += [int(10_000 * value) for value in (0.06, -0.2, 1.06)]
    tags: list[tuple[int, int, Any]] = [
        (254, 4, [0]),
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [16]),
        (259, 3, [1]),
        (262, 3, [32803]),
        (271, 2, b"Maker\0"),
        (272, 2, b"Camera One\0"),
        (273, 4, [0]),
        (274, 3, [orientation]),
        (277, 3, [1]),
        (278, 4, [height]),
        (279, 4, [mosaic.nbytes]),
        (306, 2, b"2026:05:04 03:02:01\0"),
        (33421, 3, [2, 2]),
        (33422, 1, [0, 1, 1, 2]),
        (50706, 1, [1, 4, 0, 0]),
        (50708, 2, b"Maker Camera One\0"),
        (50717, 4, [65535]),
        (50721, 10, identity),
        (50728, 5, [1, 1, 1]),
        (50778, 3, [21]),
    ]
    path.write_bytes(_tiff(tags, mosaic.tobytes()))


def _tiff(tags: list[tuple[int, int, Any]], pixels: bytes) -> bytes:
    start = 8 + 2 + 12 * len(tags) + 4
    encoded = [(tag, kind, _encoded(kind, values)) for tag, kind, values in tags]
    outside = sum(len(data) + len(data) % 2 for _, _, data in encoded if len(data) > 4)
    entries, rest = b"", b""
    for tag, kind, data in encoded:
        if tag == 273:
            data = struct.pack("<I", start + outside)
        count = len(data) // _SIZES[kind]
        if len(data) > 4:
            place = struct.pack("<I", start + len(rest))
            rest += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries += struct.pack("<HHI", tag, kind, count) + place
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + b"\0\0\0\0" + rest + pixels


def _encoded(kind: int, values: Any) -> bytes:
    if isinstance(values, bytes):
        return values
    if kind in (5, 10):
        unit = 10_000 if kind == 10 else 1
        return b"".join(struct.pack("<ii", value, unit) for value in values)
    return struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
