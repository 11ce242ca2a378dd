"""NAME:STRENGTH, for the names in a library."""

from __future__ import annotations

from ..errors import UsageError
from ..system.text import text_safe
from .names import parse_strength
from .store import Library


def find_strength(library: Library, text: str) -> tuple[str, float]:
    """:func:`parse_strength` for a difference in a library, whose name may contain colons.

    Raises UsageError if what follows a difference's name is not a strength.
    """
    name, colon, number = text.rpartition(":")
    if not colon or library.has(text, exactly=True):
        return text, 1.0
    parsed = parse_strength(text)
    if parsed[0] == text and library.has(name):
        raise UsageError(
            f"{text_safe(number)!r} is not a strength; write {text_safe(name) + ':0.5'!r}, or "
            f"{text_safe(name)!r} alone for the whole strength."
        )
    return parsed
