"""Turns rows of the table into jobs."""

from __future__ import annotations

import json
from pathlib import Path

from ..running.progress import AppliedImage
from ..system.database import Row
from .job import Job, JobProgress
from .request_json import from_json

COLUMNS = (
    "id, kind, title, state, request, device, folder, created, started, finished, priority, held, "
    "cancelling, progress, losses, error, exit_code, warnings, failures, skipped, difference, "
    "attempts, waits_for"
)

LOG, PREVIEW, CHECKPOINT = "log.txt", "preview.png", "checkpoint.safetensors"
"""The files in a job's folder."""


def to_job(row: Row, outputs: list[AppliedImage], folders: Path) -> Job:
    """A job from its row and the rows of its outputs."""
    folder = folders / row["folder"]
    preview = folder / PREVIEW
    difference = json.loads(row["difference"]) if row["difference"] else None
    return Job(
        id=row["id"],
        kind=row["kind"],
        title=row["title"],
        state=row["state"],
        request=from_json(row["kind"], row["request"]),
        device=row["device"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        progress=JobProgress(**json.loads(row["progress"])),
        losses=json.loads(row["losses"]),
        error=row["error"],
        exit_code=row["exit_code"],
        warnings=json.loads(row["warnings"]),
        failures=json.loads(row["failures"]),
        outputs=outputs,
        skipped=row["skipped"],
        difference=(difference[0], Path(difference[1])) if difference else None,
        preview=preview if preview.exists() else None,
        log=folder / LOG,
        priority=row["priority"],
        held=bool(row["held"]),
        waits_for=row["waits_for"],
        cancelling=bool(row["cancelling"]),
        attempts=row["attempts"],
    )
