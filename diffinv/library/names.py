"""What a difference can be called."""

from __future__ import annotations

from ..errors import UsageError
from ..text import text_safe

MAX_NAME = 200
"""Characters of a difference's name."""


def checked_name(name: str) -> str:
    """A name as it will be shown. Raises UsageError where it cannot be one."""
    shown = text_safe(name)
    if not shown:
        raise UsageError("A difference needs a name that can be read; give it one.")
    if problem := name_problem(shown):
        raise UsageError(f"The name {_short(shown)!r} {problem}; choose another.")
    return shown


def own_name(name: str, file: str) -> str:
    """The name that a file brings along, as it will be shown; raises UsageError likewise."""
    shown = text_safe(name)
    if problem := name_problem(shown):
        raise UsageError(
            f"{file} calls itself {_short(shown)!r}, which {problem}; import it by itself with "
            "'diffinv library import --name'."
        )
    return shown


def name_problem(shown: str) -> str | None:
    """What is wrong with a name: it cannot be read, is too long, or is read as a strength."""
    if not shown:
        return "cannot be read"
    if len(shown) > MAX_NAME:
        return f"has {len(shown)} characters, more than {MAX_NAME}"
    _, colon, number = shown.rpartition(":")
    if colon and _is_number(number):
        return "reads like NAME:STRENGTH"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(name: str) -> str:
    return name if len(name) <= 40 else name[:40] + "…"
