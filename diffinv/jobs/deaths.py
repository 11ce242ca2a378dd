"""What becomes of the jobs of a worker that has ended.

A worker that dies is started again, and goes on with its job, :data:`MAX_RESTARTS` times. A job
that then kills one more is held: it may be the job's own fault. A picture written in between starts
the count anew, since a job that gets on will also come to its end.
"""

from __future__ import annotations

import sqlite3
import time

from ..system.text import plural
from .job import State

MAX_RESTARTS = 2
"""How often a job is started again by itself."""


def bury(db: sqlite3.Connection, device: str, worker: str, rebooted: bool) -> None:
    """Clean up after a worker that ended without leaving. After a restart of the machine nothing
    starts by itself."""
    if rebooted:
        interrupt(db, worker, "the machine was restarted")
        db.execute("UPDATE jobs SET held = 1 WHERE state = 'queued' AND device = ?", (device,))
        return
    db.execute(
        "UPDATE jobs SET deaths = deaths + 1 WHERE state = 'running' AND worker = ?", (worker,)
    )
    rows = db.execute(
        "SELECT id, deaths FROM jobs WHERE state = 'running' AND worker = ? AND cancelling = 0",
        (worker,),
    ).fetchall()
    for row in rows:
        if row["deaths"] <= MAX_RESTARTS:
            _queue_again(db, row["id"])
    interrupt(db, worker, _cause(max((row["deaths"] for row in rows), default=1)))


def interrupt(db: sqlite3.Connection, worker: str, cause: str) -> None:
    """Interrupt the jobs a worker left unfinished."""
    rows = db.execute(
        "SELECT id, cancelling FROM jobs WHERE state = 'running' AND worker = ?", (worker,)
    ).fetchall()
    for row in rows:
        id = row["id"]
        state: State = "cancelled" if row["cancelling"] else "interrupted"
        error = f"Job {id} was interrupted: {cause}."
        db.execute(
            "UPDATE jobs SET state = ?, finished = max(started, ?), error = ?, worker = NULL, "
            "news = ? WHERE id = ?",
            (
                state,
                time.time(),
                error if state == "interrupted" else None,
                state == "interrupted",
                id,
            ),
        )
        if state == "cancelled":
            cancel_along(db, id, state)


def cancel_along(db: sqlite3.Connection, first: int, became: State) -> None:
    """Cancel what waits for a job that was cancelled or failed."""
    what = "failed" if became == "failed" else "was cancelled"
    error = f"Job {first}, which it waits for, {what}."
    db.execute(
        "UPDATE jobs SET state = 'cancelled', finished = max(created, ?), error = ? "
        "WHERE waits_for = ? AND state = 'queued'",
        (time.time(), error, first),
    )


def _queue_again(db: sqlite3.Connection, id: int) -> None:
    """Put a running job back, before all others."""
    db.execute(
        "UPDATE jobs SET state = 'queued', worker = NULL, news = 1, "
        "priority = (SELECT max(priority) FROM jobs WHERE state IN ('queued', 'running')), "
        "position = (SELECT min(position) - 1 FROM jobs) WHERE id = ?",
        (id,),
    )


def _cause(deaths: int) -> str:
    times = f" {plural(deaths, 'time')}" if deaths > 1 else ""
    return f"its worker stopped unexpectedly{times} (perhaps for lack of memory or disk space)"
