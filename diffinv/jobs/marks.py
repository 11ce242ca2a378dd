"""What somebody thinks of results: kept, rejected or starred, in a small file beside them.

It is a file of its own: the manifest only ever grows by lines about results, and stays so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, cast, get_args

from ..errors import DiffinvError
from ..system.files import atomic_write
from ..system.text import path_text

FILE = ".diffinv-marks.json"

Mark = Literal["kept", "rejected", "starred"]
Marks = dict[str, Mark]
"""Marks by the paths of results from their folder, with ``/``."""


def read_marks(folder: Path) -> Marks:
    """The marks in a folder of results; none where it has no file of them.

    Raises DiffinvError if the file cannot be read.
    """
    known = get_args(Mark)
    found = _read(folder)["marks"]
    return {name: cast("Mark", mark) for name, mark in found.items() if mark in known}


def set_mark(folder: Path, result: Path, mark: Mark | None) -> None:
    """Mark a result in a folder, or take its mark away; all others stay as they are.

    Raises DiffinvError if the file cannot be read or written.
    """
    said = _read(folder)
    said["marks"].pop(mark_name(folder, result), None)
    if mark is not None:
        said["marks"][mark_name(folder, result)] = mark
    atomic_write(folder / FILE, json.dumps(said, indent=1, ensure_ascii=False).encode())


def mark_name(folder: Path, result: Path) -> str:
    """What a result is called in the file."""
    inside = result.is_relative_to(folder)
    return (result.relative_to(folder) if inside else result).as_posix()


def _read(folder: Path) -> dict[str, Any]:
    path = folder / FILE
    if path.exists() and not path.is_file():
        raise _unreadable(path)
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"marks": {}}
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path) from error
    if not isinstance(said, dict) or not isinstance(said.get("marks"), dict):
        raise _unreadable(path)
    return said


def _unreadable(path: Path) -> DiffinvError:
    return DiffinvError(
        f"{path_text(path)}, which has the marks of these results, cannot be read; mend it, or "
        "move it away to begin anew."
    )
