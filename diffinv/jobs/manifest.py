"""What has been written into a folder of results: a line for each, in a file beside them.

The line is written before the result, and counts once the result is there: whenever a run ends,
the next one knows what is left to do.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DiffinvError
from ..running.progress import AppliedImage
from ..system.text import path_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..difference import Difference
    from .requests import ApplyRequest

FILE = ".diffinv.jsonl"


def application_key(
    request: ApplyRequest, differences: Sequence[tuple[Difference, float]], parts: Sequence[str]
) -> str:
    """Everything but the picture that determines a result, as one short text."""
    decisive = [
        [(difference.info.hash_sha256, weight) for difference, weight in differences],
        asdict(request.settings),
        request.prompt_b,
        list(parts),
    ]
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:24]


class Manifest:
    """The results of one application in a folder. ``fresh`` forgets those of earlier runs."""

    def __init__(self, folder: Path, key: str, fresh: bool = False) -> None:
        self.folder, self.key = folder, key
        self._path = folder / FILE
        self._fresh, self._started = fresh, False
        self._rows: dict[str, dict[str, Any]] = {} if fresh else self._read()

    def done(self, picture: Path) -> AppliedImage | None:
        """The result of a picture, if it is there and neither picture nor prompt has changed."""
        row = self._rows.get(str(picture.absolute()))
        if row is None or row["stamp"] != _stamp(picture):
            return None
        output = self.folder / row["output"]
        return AppliedImage(picture, output, row["seconds"]) if output.is_file() else None

    def stale(self, picture: Path) -> Path | None:
        """The result of a picture or prompt that has changed since."""
        row = self._rows.get(str(picture.absolute()))
        if row is None or row["stamp"] == _stamp(picture):
            return None
        output = self.folder / row["output"]
        return output if output.is_file() else None

    def record(self, done: AppliedImage) -> None:
        """Note a result that is about to be written."""
        row: dict[str, Any] = {
            "key": self.key,
            "input": str(done.input.absolute()),
            "stamp": _stamp(done.input),
            "output": str(done.output.relative_to(self.folder)),
            "seconds": done.seconds,
        }
        lines = [{"key": self.key, "restart": True}] if self._fresh and not self._started else []
        self._append("".join(json.dumps(line) + "\n" for line in [*lines, row]))
        self._started = True
        self._rows[row["input"]] = row

    def _append(self, text: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND
        try:
            if not self._started:
                self.folder.mkdir(parents=True, exist_ok=True)
                flags |= os.O_CREAT
            handle = os.open(self._path, flags, 0o666)
        except FileNotFoundError as error:
            raise DiffinvError(
                f"The folder {path_text(self.folder)} was removed while results were written "
                "into it; run the same again to make them anew."
            ) from error
        except OSError as error:
            raise _unwritable(self._path, error) from error
        try:
            os.write(handle, text.encode())
        except OSError as error:
            raise _unwritable(self._path, error) from error
        finally:
            os.close(handle)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}
        rows: dict[str, dict[str, Any]] = {}
        for line in text.splitlines():
            row = _parse(line)
            if row is None or row["key"] != self.key:
                continue
            if row.get("restart"):
                rows.clear()
            else:
                rows[row["input"]] = row
        return rows


def _parse(line: str) -> dict[str, Any] | None:
    """A line as it was written; None for one that is cut off or not ours."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or "key" not in row:
        return None
    whole = {"input", "stamp", "output", "seconds"} <= row.keys()
    return row if whole or row.get("restart") else None


def _stamp(picture: Path) -> list[list[int] | None]:
    """Size and time of a picture and of the prompt beside it."""
    return [_size_and_time(picture), _size_and_time(picture.with_suffix(".txt"))]


def _size_and_time(path: Path) -> list[int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _unwritable(path: Path, error: OSError) -> DiffinvError:
    reason = error.strerror or type(error).__name__
    return DiffinvError(
        f"Cannot write {path_text(path)} ({reason}); "
        "choose a folder that you can write to and that has space left."
    )
