"""The paths in what a terminal pastes when files are dropped on it."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit


def dropped_paths(text: str) -> list[Path]:
    """The files and folders that a pasted text names: one a line, or several in a line, quoted as a
    shell would have them, with backslashes before spaces, or as ``file://`` addresses. A line that
    is a path as it stands is one, whatever is in it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [path for line in lines for path in _in_line(line)]


def _in_line(line: str) -> list[Path]:
    whole = _path(line)
    if whole.exists():
        return [whole]
    try:
        words = shlex.split(line)
    except ValueError:  # a quote that is part of a name
        return [whole]
    paths = [_path(word) for word in words]
    # blanks without quotes may be part of one name: a path that is not there is told as it is
    return paths if all(path.is_absolute() for path in paths) else [whole]


def _path(word: str) -> Path:
    if word.startswith("file://"):
        word = unquote(urlsplit(word).path)
    return Path(os.path.expanduser(word))
