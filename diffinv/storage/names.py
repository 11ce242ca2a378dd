"""Which names a difference can have, and how a name is written with a strength."""

from __future__ import annotations

import math

from ..errors import UsageError
from ..system.text import text_safe

MAX_NAME = 200
"""The most characters of a difference's name."""


def parse_strength(text: str) -> tuple[str, float]:
    """``NAME`` or ``NAME:STRENGTH``; a negative strength undoes the difference."""
    name, colon, number = text.rpartition(":")
    if not colon:
        return text, 1.0
    try:
        strength = float(number)
    except ValueError:
        return text, 1.0
    if not name or not math.isfinite(strength):
        raise UsageError(f"{text!r} is neither NAME nor NAME:STRENGTH with a finite number.")
    return name, strength


def checked_name(name: str) -> str:
    """A name as it will be shown. Raises UsageError if it is not allowed."""
    shown = text_safe(name)
    if not shown:
        raise UsageError("A difference needs a name that can be read; give it one.")
    if problem := name_problem(shown):
        raise UsageError(f"The name {_short(shown)!r} {problem}; choose another.")
    return shown


def own_name(name: str, file: str) -> str:
    """A file's own name for its difference, as it will be shown. Raises UsageError likewise."""
    shown = text_safe(name)
    if problem := name_problem(shown):
        raise UsageError(
            f"{file} calls itself {_short(shown)!r}, which {problem}; import it by itself with "
            "'diffinv library import --name'.",
            neutral=f"{file} calls itself {_short(shown)!r}, which {problem}; rename it.",
        )
    return shown


def name_problem(shown: str) -> str | None:
    """What is wrong with a name: it is unreadable, too long, or reads like NAME:STRENGTH."""
    if not shown:
        return "cannot be read"
    if len(shown) > MAX_NAME:
        return f"has {len(shown)} characters, more than {MAX_NAME}"
    if _reads_like_strength(shown):
        return "reads like NAME:STRENGTH"
    return None


def _reads_like_strength(shown: str) -> bool:
    try:
        return parse_strength(shown)[0] != shown
    except UsageError:
        return True


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:40] + "…"
