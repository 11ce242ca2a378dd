"""How large a result is (as B, as the model makes it, or with a longer side of so many pixels), and
whether what has changed is made anew at that size."""

from __future__ import annotations

from ..errors import UsageError

MIN_SIDE, MAX_SIDE = 8, 20_000
"""What a picture's sides may be, in pixels."""

KEEP, MODEL = "keep", "model"

OFF, TILES = "off", "tiles"
DETAILS = (OFF, TILES)


def checked_size(size: str | int) -> str | int:
    """``keep``, ``model`` or a number of pixels, also as text. Raises UsageError for others."""
    if size in (KEEP, MODEL):
        return size
    if isinstance(size, str) and size.isascii() and size.isdecimal():
        size = int(size)
    if isinstance(size, int) and not isinstance(size, bool) and MIN_SIDE <= size <= MAX_SIDE:
        return size
    raise UsageError(
        f"A size is 'keep', 'model' or a longer side of {MIN_SIDE} to {MAX_SIDE} pixels, "
        f"not {size!r}."
    )


def checked_detail(detail: str, size: str | int) -> str:
    """``off`` or ``tiles``. Raises UsageError for others, and where there is nothing to sharpen."""
    if detail not in DETAILS:
        what = f"Detail is {' or '.join(DETAILS)}"
        rest = f", not {detail!r}."
        raise UsageError(f"{what} (--detail){rest}", neutral=what + rest)
    if detail == TILES and size == MODEL:
        raise UsageError(
            "Tiles (--detail tiles) sharpen results that are larger than the model's own; choose "
            "another --size than model.",
            neutral="Tiles sharpen results that are larger than the model's own; choose another "
            "size than the model's.",
        )
    return detail
