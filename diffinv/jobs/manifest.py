"""Lists the results written to a folder: one line each, in a file beside them.

The line is written before the result and counts once the result exists: whenever a run ends, the
next one knows what is left to do.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..errors import DiffinvError
from ..pictures.sizes import OFF
from ..running.progress import AppliedImage
from ..system.files import file_mode, make_folder
from ..system.text import path_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..difference import Difference
    from ..pictures.masks import Masks
    from .requests import ApplyRequest

FILE = ".diffinv.jsonl"

Stamp = list[list[int] | None]
"""Size and time of a picture and of the prompt beside it; changes when either does."""


_ADDED = ("mask_grow", "negative_prompt", "reword")
"""Settings that earlier results do not have; where they are off or empty they do not count."""


def application_key(
    request: ApplyRequest,
    seed: int,
    differences: Sequence[tuple[Difference, float]],
    parts: Sequence[str],
) -> str:
    """Everything a result depends on except the picture, as one short text."""
    settings = asdict(request.settings) | {"seed": seed}
    for name in _ADDED:
        if not settings[name]:
            del settings[name]
    decisive = [
        [(difference.info.hash_sha256, weight) for difference, weight in differences],
        settings,
        request.prompt_b,
        list(parts),
        [request.size, request.format, request.quality, request.strip, request.provenance],
    ]
    if request.mask or request.save_masks:
        decisive.append([str(request.mask and request.mask.absolute()), request.save_masks])
    if request.detail != OFF:
        decisive.append(request.detail)
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:24]


class Manifest:
    """The results of one application in a folder. ``fresh`` forgets those of earlier runs;
    ``masks`` gives each picture's mask, which its result depends on."""

    def __init__(
        self, folder: Path, key: str, fresh: bool = False, masks: Masks | None = None
    ) -> None:
        self.folder, self.key, self.masks = folder, key, masks
        self.path = folder / FILE
        self._fresh, self._started = fresh, False
        self._rows: dict[str, dict[str, Any]] = {} if fresh else self._read()

    def stamp(self, picture: Path) -> Stamp:
        """Size and time of a picture, of the prompt beside it, and of its mask if it needs one."""
        if self.masks is None:
            return stamp_of(picture)
        mask = self.masks.find(picture)
        return [*stamp_of(picture), None if mask is None else _size_and_time(mask)]

    def done(self, picture: Path) -> AppliedImage | None:
        """A picture's result, if it exists and neither picture nor prompt has changed."""
        row = self._rows.get(str(picture.absolute()))
        if row is None or row["stamp"] != self.stamp(picture):
            return None
        output = self.folder / row["output"]
        return AppliedImage(picture, output, row["seconds"]) if output.is_file() else None

    def stale(self, picture: Path) -> Path | None:
        """The result of a picture that has changed since, or whose prompt has."""
        row = self._rows.get(str(picture.absolute()))
        if row is None or row["stamp"] == self.stamp(picture):
            return None
        output = self.folder / row["output"]
        return output if output.is_file() else None

    def record(self, done: AppliedImage, stamp: Stamp) -> None:
        """Note a result about to be written, with the picture's stamp at the time of reading."""
        row: dict[str, Any] = {
            "key": self.key,
            "input": str(done.input.absolute()),
            "stamp": stamp,
            "output": str(done.output.relative_to(self.folder)),
            "seconds": done.seconds,
        }
        lines = [{"key": self.key, "restart": True}] if self._fresh and not self._started else []
        self._append("".join(json.dumps(line) + "\n" for line in [*lines, row]))
        self._started = True
        self._rows[row["input"]] = row

    def _append(self, text: str) -> None:
        """Add whole lines, starting a new one after a line that was cut short."""
        flags = os.O_RDWR | os.O_APPEND
        try:
            if not self._started:
                make_folder(self.folder)
                flags |= os.O_CREAT
            with contextlib.closing(_Regular(self.path, flags)) as file:
                file.write(text if file.ends_in_a_line else "\n" + text)
        except FileNotFoundError as error:
            raise DiffinvError(
                f"The folder {path_text(self.folder)} was removed while results were being "
                "written to it; run the same again to make them anew."
            ) from error
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            with contextlib.closing(_Regular(self.path, os.O_RDONLY)) as file:
                text = file.read()
        except OSError:
            return {}
        rows: dict[str, dict[str, Any]] = {}
        for line in text.splitlines():
            row = parsed(line)
            if row is None or row["key"] != self.key:
                continue
            if row.get("restart"):
                rows.clear()
            else:
                rows[row["input"]] = row
        return rows


class _Regular:
    """Our own regular file in the user's folder: no link is followed, no pipe waited for."""

    def __init__(self, path: Path, flags: int) -> None:
        careful = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._handle = os.open(path, flags | careful, file_mode(path))
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise _odd(path) from error
            raise
        if not stat.S_ISREG(os.fstat(self._handle).st_mode):
            self.close()
            raise _odd(path)

    @property
    def ends_in_a_line(self) -> bool:
        """Whether text appended now would start a new line."""
        size = os.fstat(self._handle).st_size
        return size == 0 or os.pread(self._handle, 1, size - 1) == b"\n"

    def read(self) -> str:
        """All of it."""
        size = os.fstat(self._handle).st_size
        return os.pread(self._handle, size, 0).decode(errors="replace")

    def write(self, text: str) -> None:
        """Write the whole text, to the disk itself: a full one takes part of it without an error,
        and a result must not outlast its line when the power fails."""
        data = text.encode()
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def _odd(path: Path) -> DiffinvError:
    return DiffinvError(
        f"{path_text(path)} is not a regular file, so it is left alone; move it away, or choose "
        "another folder for the results."
    )


def parsed(line: str) -> dict[str, Any] | None:
    """A line as it was written; None if it is cut short or not ours."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("key"), str):
        return None
    return row if row.get("restart") is True or _is_whole(row) else None


def _is_whole(row: dict[str, Any]) -> bool:
    """Whether a line has everything we write, and its result is in the folder."""
    output, seconds = row.get("output"), row.get("seconds")
    if not isinstance(output, str) or not isinstance(row.get("input"), str):
        return False
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return False
    path = PurePath(output)
    inside = not path.is_absolute() and ".." not in path.parts and "\0" not in output
    return inside and len(os.fsencode(path.name)) < 256 and isinstance(row.get("stamp"), list)


def stamp_of(picture: Path) -> Stamp:
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
