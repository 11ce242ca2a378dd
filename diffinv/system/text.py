"""Text from files: made safe to print, and sorted the way people count."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor moves
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"  # everything else that starts with an escape
)
_KEPT_FORMATS = "\u200c\u200d"
"""Zero-width joiners, which some scripts and emoji need."""


def text_safe(text: str) -> str:
    """``text`` on one line, without anything a terminal would act on.

    Escape sequences, control characters and bidirectional overrides are dropped; line breaks and
    runs of blanks become one space, and broken surrogates the replacement character.
    """
    shown = "".join(_shown(c) for c in _ESCAPES.sub("", text))
    return " ".join(shown.split())


def path_text(path: Path) -> str:
    """A path, safe to print."""
    return text_safe(str(path))


def _shown(character: str) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    if category == "Cc" or (category == "Cf" and character not in _KEPT_FORMATS):
        return ""
    return character


def natural_key(text: str) -> tuple[tuple[str, ...], str]:
    """A sort key that counts: ``b2`` before ``b10``, upper and lower case together."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple(_countable(p) if i % 2 else p for i, p in enumerate(parts)), text


def _countable(digits: str) -> str:
    """A number, however long, as text that sorts by its value."""
    plain = digits.lstrip("0")
    return f"{len(plain):09}{plain}"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 picture``, ``1,200 pictures``."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def readable(size: float) -> str:
    """A number of bytes in a suitable unit."""
    if size < 10**6:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e6:.0f} MB" if size < 10**9 else f"{size / 1e9:.1f} GB"
