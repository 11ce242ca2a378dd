"""The queue: a table shared by all front ends and workers."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from ..running.devices import device_key
from ..running.progress import AppliedImage
from ..system.database import Database, Row
from ..system.paths import data_folder
from .deaths import bury, cancel_along, interrupt
from .job import FINISHED, Job, JobProgress, State
from .job_rows import COLUMNS, FOLDER_NAME, carried_over, to_job, to_output
from .process import Identity
from .request_json import absolute, kind_of, title_of, to_json
from .requests import Request

__all__ = ["FINISHED", "Job", "JobProgress", "JobStore", "Report", "State"]

_MIGRATIONS = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, title TEXT NOT NULL,
        state TEXT NOT NULL, request TEXT NOT NULL, device TEXT NOT NULL, folder TEXT NOT NULL,
        created REAL NOT NULL, started REAL, finished REAL,
        priority INTEGER NOT NULL DEFAULT 0, position INTEGER NOT NULL DEFAULT 0,
        held INTEGER NOT NULL DEFAULT 0, cancelling INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0, worker TEXT,
        progress TEXT NOT NULL DEFAULT '{}', losses TEXT NOT NULL DEFAULT '[]',
        error TEXT, exit_code INTEGER NOT NULL DEFAULT 1,
        warnings TEXT NOT NULL DEFAULT '[]', failures TEXT NOT NULL DEFAULT '[]',
        skipped INTEGER NOT NULL DEFAULT 0, difference TEXT
    );
    CREATE INDEX jobs_by_state ON jobs (state);
    CREATE TABLE outputs (
        job INTEGER NOT NULL REFERENCES jobs (id), input TEXT NOT NULL, output TEXT NOT NULL,
        seconds REAL NOT NULL, PRIMARY KEY (job, output)
    );
    CREATE TABLE workers (device TEXT PRIMARY KEY, identity TEXT NOT NULL);
    CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL)
    """,
    "ALTER TABLE jobs ADD COLUMN waits_for INTEGER",
    """
    ALTER TABLE jobs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN news INTEGER NOT NULL DEFAULT 0
    """,
)
_QUEUE = "priority DESC, position, id"
_QUEUE_BACKWARDS = "priority, position DESC, id DESC"
_SHOWN = f"""CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END,
    CASE state WHEN 'queued' THEN -priority END, CASE state WHEN 'queued' THEN position END,
    CASE WHEN state IN {FINISHED!r} THEN -id ELSE id END"""
_READY = """state = 'queued' AND held = 0 AND NOT EXISTS (SELECT 1 FROM jobs AS first
    WHERE first.id = jobs.waits_for AND first.state IN ('queued', 'running', 'interrupted'))"""
"""A job that may start, unless the queue is paused."""
_CANCELLED_ALONG = "state = 'cancelled' AND error IS NOT NULL"
"""Jobs cancelled only because the job they wait for ended; their error says so."""
_KEPT: tuple[State, ...] = ("queued", "running", "interrupted")
"""The states of jobs that :meth:`JobStore.clear` does not forget."""
_LOOK_EVERY = 1.0
"""Seconds between two checks for dead workers while nothing else happens."""


@dataclass
class Report:
    """A worker's report on its job: the progress so far, and the outputs since the last report."""

    progress: JobProgress = field(default_factory=JobProgress)
    losses: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outputs: list[AppliedImage] = field(default_factory=list)


class JobStore:
    """The jobs in a folder's ``jobs.sqlite``, by default that of diffinv's own folder."""

    def __init__(self, folder: Path | None = None, timeout: float = 10.0) -> None:
        self.folder = (folder or data_folder()).absolute()
        self._data = Database(self.folder / "jobs.sqlite", _MIGRATIONS, "The job list", timeout)
        self._looked = 0.0

    # For front ends

    def submit(
        self,
        request: Request,
        priority: int = 0,
        waits_for: int | None = None,
    ) -> Job:
        """Queue a request; its paths are made absolute.

        ``waits_for`` is the job that has to be done first: if it is cancelled or fails, this one
        is cancelled with it, and comes back with it.
        """
        self.notice_deaths()
        request = absolute(request)
        values = {
            "kind": kind_of(request),
            "title": title_of(request),
            "state": "queued",
            "request": to_json(request),
            "device": device_key(request.device),
            "folder": secrets.token_hex(8),
            "created": time.time(),
            "priority": priority,
            "waits_for": waits_for,
        }
        with self._data.write() as db:
            marks = ", ".join("?" * len(values))
            done = db.execute(
                f"INSERT INTO jobs ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
            )
            id = done.lastrowid or 0
            db.execute(
                "UPDATE jobs SET position = (SELECT max(position) + 1 FROM jobs) WHERE id = ?",
                (id,),
            )
        return self.get(id)

    def jobs(self, states: Collection[State] | None = None) -> list[Job]:
        """All jobs, or those in some states: the running ones, the queue in order, the rest from
        newest to oldest."""
        self.notice_deaths()
        wanted = tuple(states or ())
        marks = ", ".join("?" * len(wanted))
        where = "" if states is None else f"WHERE state IN ({marks})"
        rows = self._data.read(f"SELECT {COLUMNS} FROM jobs {where} ORDER BY {_SHOWN}", wanted)
        outputs = self._data.read(
            f"SELECT o.* FROM outputs o JOIN jobs j ON j.id = o.job {where} ORDER BY o.rowid",
            wanted,
        )
        return self._to_jobs(rows, outputs)

    def get(self, id: int) -> Job:
        """One job. Raises UsageError if there is none."""
        self.notice_deaths()
        rows = self._data.read(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (id,))
        if not rows:
            said = f"There is no job {id}"
            raise UsageError(f"{said}; see 'diffinv jobs list'.", neutral=f"{said}.")
        outputs = self._data.read("SELECT * FROM outputs WHERE job = ? ORDER BY rowid", (id,))
        return self._to_jobs(rows, outputs)[0]

    def cancel(self, id: int) -> Job:
        """Take a job off the queue, or ask its worker to stop between two steps."""
        job = self._in_state(id, ("queued", "running", "interrupted"), "cancelled")
        with self._data.write() as db:
            done = db.execute(
                "UPDATE jobs SET state = 'cancelled', finished = ?, error = NULL, news = 0 "
                "WHERE id = ? AND state IN ('queued', 'interrupted')",
                (max(job.created, time.time()), id),
            )
            if done.rowcount:
                cancel_along(db, id, "cancelled")
            db.execute("UPDATE jobs SET cancelling = 1 WHERE id = ? AND state = 'running'", (id,))
        return self.get(id)

    def retry(self, id: int) -> Job:
        """A new job with the same request, from the beginning. Jobs waiting for the old one now
        wait for the new one."""
        job = self._in_state(id, FINISHED, "retried")
        self._check_first(job)
        new = self.submit(job.request, job.priority, job.waits_for)
        if job.state != "done":
            with self._data.write() as db:
                _bring_back(db, id)
                db.execute(
                    "UPDATE jobs SET waits_for = ? WHERE waits_for = ? AND state = 'queued'",
                    (new.id, id),
                )
        return new

    def resume(self, id: int) -> Job:
        """Put a job that ended early back in the queue, to go on where it stopped. With one that
        was interrupted goes on what a restart of the machine held."""
        job = self._in_state(id, ("interrupted", "cancelled", "failed"), "resumed")
        self._check_first(job)
        with self._data.write() as db:
            db.execute(
                "UPDATE jobs SET state = 'queued', held = 0, cancelling = 0, error = NULL, "
                "failures = '[]', warnings = '[]', finished = NULL, deaths = 0, news = 0 "
                "WHERE id = ? AND state IN ('interrupted', 'cancelled', 'failed')",
                (id,),
            )
            if job.state == "interrupted":
                db.execute("UPDATE jobs SET held = 0")
            _bring_back(db, id)
        return self.get(id)

    def move(self, id: int, up: bool) -> Job:
        """Swap a queued job with its neighbour."""
        self._in_state(id, ["queued"], "moved")
        with self._data.write() as db:
            rows = db.execute(
                f"SELECT id, priority, position FROM jobs WHERE state = 'queued' ORDER BY {_QUEUE}"
            ).fetchall()
            ids = [row["id"] for row in rows]
            here = ids.index(id) if id in ids else -1
            there = here - 1 if up else here + 1
            if here >= 0 and 0 <= there < len(rows):
                _swap(db, rows[here], rows[there])
        return self.get(id)

    def move_to_end(self, id: int, first: bool) -> Job:
        """Move a queued job to the front or the end of the queue."""
        self._in_state(id, ["queued"], "moved")
        order, step = (_QUEUE, -1) if first else (_QUEUE_BACKWARDS, 1)
        with self._data.write() as db:
            end = db.execute(
                "SELECT id, priority, position FROM jobs WHERE state = 'queued' "
                f"ORDER BY {order} LIMIT 1"
            ).fetchone()
            if end is not None and end["id"] != id:
                db.execute(
                    "UPDATE jobs SET priority = ?, position = ? WHERE id = ? AND state = 'queued'",
                    (end["priority"], end["position"] + step, id),
                )
        return self.get(id)

    def clear(self) -> int:
        """Forget all jobs that are done, failed or cancelled, but keep their results; return their
        number."""
        with self._data.write() as db:
            rows = db.execute(
                f"SELECT id, folder FROM jobs WHERE state NOT IN {_KEPT!r}"
            ).fetchall()
            for row in rows:
                db.execute("DELETE FROM outputs WHERE job = ?", (row["id"],))
                db.execute("DELETE FROM jobs WHERE id = ?", (row["id"],))
        names = (str(row["folder"]) for row in rows)
        ours = filter(FOLDER_NAME.fullmatch, names)  # a damaged row may name any folder
        _remove_folders(self.folder / "jobs" / name for name in ours)
        return len(rows)

    @property
    def paused(self) -> bool:
        """Whether queued jobs wait for :meth:`set_paused`."""
        return self.pause_reason is not None

    @property
    def is_stopped(self) -> bool:
        """Whether the user paused the queue, so that no job starts at all. After a restart of the
        machine only the jobs queued before it wait."""
        return bool(self._data.read("SELECT 1 FROM notes WHERE key = 'paused'"))

    @property
    def pause_reason(self) -> str | None:
        """Why the queue is paused, in one sentence."""
        self.notice_deaths()
        if self.is_stopped:
            return "The queue is paused."
        (row,) = self._data.read(
            "SELECT count(*) AS held FROM jobs WHERE held = 1 AND state = 'queued'"
        )
        if not row["held"]:
            return None
        jobs = "1 job was" if row["held"] == 1 else f"{row['held']} jobs were"
        return f"The queue is paused, because the machine was restarted while {jobs} waiting."

    def set_paused(self, paused: bool) -> None:
        """Start no more jobs, or go on; a running job is left alone."""
        with self._data.write() as db:
            if paused:
                db.execute("INSERT OR REPLACE INTO notes VALUES ('paused', '')")
            else:
                db.execute("DELETE FROM notes WHERE key = 'paused'")
                db.execute("UPDATE jobs SET held = 0")

    def same_as(self, request: Request) -> Job | None:
        """A queued or running job with this very request, if there is one."""
        rows = self._data.read(
            "SELECT id FROM jobs WHERE state IN ('queued', 'running') AND request = ? "
            "AND cancelling = 0 ORDER BY id LIMIT 1",
            (to_json(absolute(request)),),
        )
        return self.get(rows[0]["id"]) if rows else None

    def set_told(self, ids: Collection[int]) -> None:
        """Somebody has been told what became of these jobs, so that it is news no longer."""
        with self._data.write() as db:
            db.executemany("UPDATE jobs SET news = 0 WHERE id = ?", [(id,) for id in ids])

    @property
    def notice(self) -> str | None:
        """One sentence if the job list was damaged and had to be set aside."""
        return self._data.notice

    def changes(self) -> tuple[int, int]:
        """A value that changes when anything does; cheap enough to ask for ten times a second.

        Also notices jobs whose worker has died.
        """
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self.notice_deaths()
        return self._data.version()

    def close(self) -> None:
        """Close this thread's connection."""
        self._data.close()

    # For workers

    def register(self, device: str, worker: Identity) -> bool:
        """Become a device's worker; False if another one is alive."""
        self.notice_deaths()
        with self._data.write() as db:
            done = db.execute(
                "INSERT OR IGNORE INTO workers VALUES (?, ?)", (device, _to_text(worker))
            )
            return done.rowcount == 1

    def leave(self, device: str, worker: Identity, force: bool = False) -> bool:
        """Stop being a device's worker unless a job is waiting; return whether it stopped.

        With ``force`` it stops anyway, and its unfinished job is interrupted.
        """
        with self._data.write() as db:
            if not force and _next(db, device) is not None:
                return False
            interrupt(db, _to_text(worker), "its worker ended")
            db.execute(
                "DELETE FROM workers WHERE device = ? AND identity = ?", (device, _to_text(worker))
            )
            return True

    def claim(self, device: str, worker: Identity) -> Job | None:
        """Take a device's next job; if several workers ask at once, exactly one gets it."""
        with self._data.write() as db:
            id = _next(db, device)
            if id is not None:
                row = db.execute("SELECT progress FROM jobs WHERE id = ?", (id,)).fetchone()
                earlier = carried_over(row["progress"])
                db.execute(
                    "UPDATE jobs SET state = 'running', started = max(created, ?), "
                    "attempts = attempts + 1, worker = ?, cancelling = 0, progress = ? "
                    "WHERE id = ?",
                    (time.time(), _to_text(worker), json.dumps(vars(earlier)), id),
                )
        return None if id is None else self.get(id)

    def report(self, id: int, report: Report) -> bool:
        """Record a job's progress; return whether it should stop, being cancelled or gone."""
        with self._data.write() as db:
            rows = db.execute(
                "UPDATE jobs SET progress = ?, losses = ?, warnings = ? "
                "WHERE id = ? AND state = 'running' RETURNING cancelling",
                (
                    json.dumps(vars(report.progress)),
                    json.dumps(report.losses),
                    json.dumps(report.warnings),
                    id,
                ),
            ).fetchall()
            if rows and report.outputs:
                _record(db, id, report.outputs)
            return not rows or bool(rows[0]["cancelling"])

    def finish(
        self,
        id: int,
        state: State,
        error: str | None = None,
        exit_code: int = 1,
        failures: Iterable[str] = (),
        skipped: int = 0,
        difference: tuple[str, Path] | None = None,
    ) -> None:
        """Close a running job."""
        result = json.dumps([difference[0], str(difference[1])]) if difference else None
        with self._data.write() as db:
            done = db.execute(
                "UPDATE jobs SET state = ?, finished = max(started, ?), error = ?, exit_code = ?, "
                "failures = ?, skipped = ?, difference = ?, cancelling = 0, worker = NULL, "
                "news = ? WHERE id = ? AND state = 'running'",
                (
                    state,
                    time.time(),
                    error,
                    exit_code,
                    json.dumps(list(failures)),
                    skipped,
                    result,
                    state != "cancelled",
                    id,
                ),
            )
            if done.rowcount and state in ("failed", "cancelled"):
                cancel_along(db, id, state)

    def waiting_devices(self) -> list[str]:
        """The devices that jobs wait for and that have no live worker."""
        self.notice_deaths()
        if self.is_stopped:
            return []
        rows = self._data.read(
            f"SELECT DISTINCT device FROM jobs WHERE {_READY} "
            "AND device NOT IN (SELECT device FROM workers)"
        )
        return [row["device"] for row in rows]

    def worker(self, device: str) -> Identity | None:
        """A device's worker, if one is alive."""
        self.notice_deaths()
        rows = self._data.read("SELECT identity FROM workers WHERE device = ?", (device,))
        return _to_identity(rows[0]["identity"]) if rows else None

    def notice_deaths(self) -> None:
        """See that jobs whose worker has died go on, or say why not."""
        self._looked = time.monotonic()
        dead = self._dead()
        if not dead:
            return
        with self._data.write() as db:
            for device, text in dead:
                gone = db.execute(
                    "DELETE FROM workers WHERE device = ? AND identity = ?", (device, text)
                )
                if gone.rowcount:
                    bury(db, device, text, not _to_identity(text).is_of_this_boot())

    def _dead(self) -> list[tuple[str, str]]:
        rows = self._data.read("SELECT device, identity FROM workers")
        return [
            (row["device"], row["identity"])
            for row in rows
            if not _to_identity(row["identity"]).is_alive()
        ]

    def _in_state(self, id: int, states: Collection[State], done: str) -> Job:
        job = self.get(id)
        if job.damage and done != "cancelled":
            raise UsageError(job.damage)
        if job.state not in states:
            said = f"Job {id} is {job.state} and cannot be {done}"
            raise UsageError(f"{said}; see 'diffinv jobs show {id}'.", neutral=f"{said}.")
        return job

    def _check_first(self, job: Job) -> None:
        """Refuse a job if the job it waits for did not finish: it would have nothing to work on."""
        rows = self._data.read("SELECT state FROM jobs WHERE id = ?", (job.waits_for,))
        if rows and rows[0]["state"] in ("cancelled", "failed"):
            raise UsageError(
                f"Job {job.id} needs what job {job.waits_for} makes; "
                f"'diffinv jobs resume {job.waits_for}' goes on with both.",
                neutral=f"Job {job.id} needs what job {job.waits_for} makes: go on with that one.",
            )

    def _to_jobs(self, rows: list[Row], outputs: list[Row]) -> list[Job]:
        found: dict[int, list[AppliedImage]] = {}
        for row in outputs:
            if done := to_output(row):
                found.setdefault(row["job"], []).append(done)
        return [to_job(row, found.get(row["id"], []), self.folder / "jobs") for row in rows]


def _next(db: sqlite3.Connection, device: str) -> int | None:
    """The next job for a device, unless the queue is paused."""
    row = db.execute(
        f"SELECT id FROM jobs WHERE {_READY} AND device = ? "
        "AND NOT EXISTS (SELECT 1 FROM notes WHERE key = 'paused') "
        f"ORDER BY {_QUEUE} LIMIT 1",
        (device,),
    ).fetchone()
    return None if row is None else int(row["id"])


def _record(db: sqlite3.Connection, id: int, outputs: Iterable[AppliedImage]) -> None:
    """Note what a job has written. Anything new shows that it gets on, whatever its workers died
    of before."""
    count = "SELECT count(*) FROM outputs WHERE job = ?"
    (before,) = db.execute(count, (id,)).fetchone()
    db.executemany(
        "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?, ?)",
        [(id, str(o.input), str(o.output), o.seconds) for o in outputs],
    )
    db.execute(f"UPDATE jobs SET deaths = 0 WHERE id = ? AND ({count}) > ?", (id, id, before))


def _bring_back(db: sqlite3.Connection, first: int) -> None:
    """Queue again what was cancelled with a job that now goes on."""
    db.execute(
        "UPDATE jobs SET state = 'queued', held = 0, error = NULL, finished = NULL "
        f"WHERE waits_for = ? AND {_CANCELLED_ALONG}",
        (first,),
    )


def _swap(db: sqlite3.Connection, one: Row, other: Row) -> None:
    for row, place in ((one, other), (other, one)):
        db.execute(
            "UPDATE jobs SET priority = ?, position = ? WHERE id = ?",
            (place["priority"], place["position"], row["id"]),
        )


def _remove_folders(folders: Iterable[Path]) -> None:
    import shutil

    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _to_text(worker: Identity) -> str:
    return json.dumps([worker.pid, worker.started, worker.boot])


def _to_identity(text: str) -> Identity:
    """A worker from its row; one that is surely dead from a damaged row."""
    try:
        pid, started, boot = json.loads(text)
        return Identity(int(pid), str(started), str(boot))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return Identity(0, "", "")
