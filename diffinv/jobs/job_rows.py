"""Turns rows of the table into jobs, also rows that somebody else has written to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args

from ..running.progress import AppliedImage
from ..system.database import Row
from ..system.text import text_safe
from .job import Job, JobProgress, Kind, State
from .request_json import from_json
from .requests import ApplyRequest, FetchRequest, InvertManyRequest, InvertRequest, Request

COLUMNS = (
    "id, kind, title, state, request, device, folder, created, started, finished, priority, held, "
    "cancelling, progress, losses, error, exit_code, warnings, failures, skipped, difference, "
    "attempts, waits_for, deaths, news"
)

LOG, PREVIEW, CHECKPOINT = "log.txt", "preview.png", "checkpoint.safetensors"
"""The files in a job's folder."""

FOLDER_NAME = re.compile(r"[0-9a-f]{16}")
"""The names given here to jobs' folders."""

_NO_FOLDER = "damaged"
_LATEST = 1e11
"""Seconds after 1970, in the year 5138: no clock shows more."""

_MOST = 2**53
"""The largest number that counts."""

T = TypeVar("T")


def to_job(row: Row, outputs: list[AppliedImage], folders: Path) -> Job:
    """A job from its row and the rows of its outputs. What cannot be read is replaced by its
    default, and named in the job's ``damage``."""
    cells = _Cells(row)
    kind: Kind = cells.read("kind", _kind, "invert")
    request = cells.read("request", lambda text: from_json(kind, text), _no_request(kind))
    folder = folders / cells.read("folder", _folder, _NO_FOLDER)
    preview = folder / PREVIEW
    values: dict[str, Any] = {
        "kind": kind,
        "request": request,
        "title": cells.read("title", _line, "damaged"),
        "state": cells.read("state", _state, "failed"),
        "device": cells.read("device", _line, "cpu"),
        "created": cells.read("created", _time, 0.0),
        "started": cells.read("started", _optional(_time), None),
        "finished": cells.read("finished", _optional(_time), None),
        "progress": cells.read("progress", _progress, JobProgress()),
        "losses": cells.read("losses", _losses, list[float]()),
        "exit_code": cells.read("exit_code", _integer, 1),
        "warnings": cells.read("warnings", _lines, list[str]()),
        "failures": cells.read("failures", _lines, list[str]()),
        "skipped": cells.read("skipped", _integer, 0),
        "difference": cells.read("difference", _optional(_difference), None),
        "priority": cells.read("priority", _integer, 0),
        "held": bool(cells.read("held", _integer, 0)),
        "waits_for": cells.read("waits_for", _optional(_integer), None),
        "cancelling": bool(cells.read("cancelling", _integer, 0)),
        "attempts": cells.read("attempts", _integer, 0),
        "deaths": cells.read("deaths", _integer, 0),
        "is_news": bool(cells.read("news", _integer, 0)),
    }
    error = cells.read("error", _optional(_text), None)
    damage = cells.damage(values["state"])
    return Job(
        id=row["id"],
        error=damage or error,
        outputs=outputs,
        preview=preview if preview.exists() else None,
        log=folder / LOG,
        damage=damage,
        **values,
    )


def to_output(row: Row) -> AppliedImage | None:
    """An output from its row; None if it cannot be read."""
    try:
        return AppliedImage(Path(row["input"]), Path(row["output"]), float(row["seconds"]))
    except (TypeError, ValueError):
        return None


def carried_over(cell: Any) -> JobProgress:
    """What the next start of a job keeps of its progress: how far it has come."""
    try:
        found = _progress(cell)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return JobProgress()
    return JobProgress(pictures=found.pictures, share=found.share)


class _Cells:
    """A row's cells, and the names of those that could not be read."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._damaged: list[str] = []

    def read(self, name: str, parse: Callable[[Any], T], default: T) -> T:
        try:
            return parse(self._row[name])
        except (AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError):
            self._damaged.append(name)
            return default

    def damage(self, state: State) -> str | None:
        if not self._damaged:
            return None
        id = self._row["id"]
        cancel = f"'diffinv jobs cancel {id}' and " if state in ("queued", "interrupted") else ""
        return (
            f"Job {id} is damaged in the job list ({', '.join(self._damaged)}) and cannot go on; "
            f"start it anew, and forget this one with {cancel}'diffinv jobs clear'."
        )


def _no_request(kind: Kind) -> Request:
    if kind == "fetch":
        return FetchRequest(())
    if kind == "invert-many":
        return InvertManyRequest(())
    return InvertRequest(()) if kind == "invert" else ApplyRequest((), (), Path())


def _optional(parse: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda cell: None if cell is None else parse(cell)


def _choice(choices: tuple[str, ...]) -> Callable[[Any], Any]:
    def parse(cell: Any) -> Any:
        if cell not in choices:
            raise ValueError(cell)
        return cell

    return parse


_kind, _state = _choice(get_args(Kind)), _choice(get_args(State))


def _folder(cell: Any) -> str:
    """A name we gave: any other could lead anywhere."""
    if not FOLDER_NAME.fullmatch(cell):
        raise ValueError(cell)
    return str(cell)


def _text(cell: Any) -> str:
    if not isinstance(cell, str):
        raise TypeError(cell)
    return cell


def _line(cell: Any) -> str:
    return text_safe(_text(cell))


def _integer(cell: Any) -> int:
    if not isinstance(cell, int) or abs(cell) > _MOST:
        raise TypeError(cell)
    return cell


def _number(cell: Any) -> float:
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell):
        raise TypeError(cell)
    return float(cell)


def _time(cell: Any) -> float:
    if not 0 <= _number(cell) < _LATEST:
        raise ValueError(cell)
    return float(cell)


def _list(cell: Any) -> list[Any]:
    found = json.loads(cell)
    if not isinstance(found, list):
        raise TypeError(cell)
    return found


def _losses(cell: Any) -> list[float]:
    return [_number(loss) for loss in _list(cell)]


def _lines(cell: Any) -> list[str]:
    return [_text(line) for line in _list(cell)]


def _progress(cell: Any) -> JobProgress:
    values = json.loads(cell)
    found = JobProgress(**{f.name: values[f.name] for f in fields(JobProgress) if f.name in values})
    _text(found.phase), _integer(found.step), _integer(found.total), _integer(found.pictures)
    for number in (found.rate, found.eta, found.loss, found.memory_mb, found.share):
        _optional(_number)(number)
    if not isinstance(found.notes, list):
        raise TypeError(cell)
    return JobProgress(**{**vars(found), "notes": [_text(note) for note in found.notes]})


def _difference(cell: Any) -> tuple[str, Path]:
    name, path = _list(cell)
    return _text(name), Path(_text(path))
