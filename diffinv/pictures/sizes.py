"""How large a result is: as B, as the model makes it, or with a longer side of so many pixels."""

from __future__ import annotations

from ..errors import UsageError

MIN_SIDE, MAX_SIDE = 8, 20_000
"""What a picture's sides may be, in pixels."""

KEEP, MODEL = "keep", "model"


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
