"""How the app says things: plain text out of files, numbers, times, paths."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from rich.style import Style
from rich.text import Text

from diffinv.system.text import path_text, text_safe

_SHOWN = 2_000
"""Characters of one text that are shown; nobody reads more in a terminal."""


def plain(text: str, style: str | Style = "", limit: int = _SHOWN) -> Text:
    """Text from a file, a plugin or an error: neither markup nor escapes act, and it ends."""
    shown = text_safe(text[: limit * 4])
    return Text().append(shown if len(shown) <= limit else shown[: limit - 1] + "…", style or None)


def tag_text(tags: Iterable[str]) -> str:
    """Tags in one line: ``#snow #building``."""
    return " ".join(f"#{text_safe(tag)}" for tag in tags)


def parse_tags(text: str) -> tuple[str, ...]:
    """What somebody typed as tags, parted by commas or blanks, each once."""
    words = text.replace(",", " ").split()
    return tuple(dict.fromkeys(word.lstrip("#") for word in words if word.strip("#")))


def day(date: str) -> str:
    """An ISO date as ``24 Nov 2026``; as it is where it is none."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError:
        return text_safe(date)[:20]
    return f"{moment.day} {moment:%b} {moment.year}"


def duration(seconds: float | None) -> str:
    """``42 s``, ``3 min 20 s``, ``2 h 5 min``; nothing for None."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def number(value: object) -> str:
    """A setting's value as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else text_safe(str(value))


def short_path(path: Path) -> str:
    """A path as text, with ``~`` for the home folder."""
    try:
        return text_safe(f"~/{path.absolute().relative_to(Path.home())}")
    except (ValueError, RuntimeError):
        return path_text(path)


def tilde(text: str) -> str:
    """A message with ``~`` for the home folder in the paths it names."""
    home = str(Path.home())
    return text.replace(home + "/", "~/") if len(home) > 1 else text
