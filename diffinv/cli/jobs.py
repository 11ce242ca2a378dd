"""``diffinv jobs``: what is running, what is waiting, and what became of the rest."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ..system.text import plural
from .elsewhere import places
from .options import json_option
from .output import complain, print_fields, print_json, print_table, say, stdout_for_data
from .ways_on import why_paused, why_stopped

if TYPE_CHECKING:
    from ..jobs.store import Job, JobStore

_ID = click.argument("id", type=click.IntRange(1))


@click.group()
def jobs() -> None:
    """List, watch, cancel, resume and order the jobs."""


@jobs.command("list")
@json_option
def list_jobs(as_json: bool) -> None:
    """Every job: the running ones, the queue in its order, then the rest."""
    store = _store()
    found = store.jobs()
    if reason := why_paused(store):
        complain(reason)
    if as_json:
        print_json([_as_dict(job) for job in found])
    elif not found:
        complain("There are no jobs: 'diffinv invert' and 'diffinv apply' make some.")
    else:
        rows = [(str(job.id), job.state, job.kind, job.title, _where(job)) for job in found]
        print_table(("JOB", "STATE", "KIND", "WHAT", "PROGRESS"), rows)


@jobs.command("show")
@_ID
@json_option
def show_job(id: int, as_json: bool) -> None:
    """Everything known about one job."""
    job = _store().get(id)
    if as_json:
        print_json(_as_dict(job))
    else:
        print_fields(_fields(job))


@jobs.command("watch")
@_ID
@json_option
@click.pass_context
def watch_job(ctx: click.Context, id: int, as_json: bool) -> None:
    """Show a job's progress until it ends; after Ctrl-C it goes on by itself.

    The exit code is that of an 'invert' or 'apply' that waited for it: 0 if everything was done, 2
    if the request was wrong, 1 if it or a picture failed, was cancelled or interrupted.
    """
    from .following import error_of, watch

    store = _store()
    with stdout_for_data():
        job = store.get(id)
        job = watch(store, id) if not job.is_finished else job
    if as_json:
        print_json(_as_dict(job))
    else:
        print_fields(_fields(job))
    if error := error_of(job):
        raise error
    if job.failures:
        ctx.exit(1)


@jobs.command("cancel")
@_ID
@json_option
def cancel_job(id: int, as_json: bool) -> None:
    """Take a job off the queue, or stop it between two steps. It can be resumed."""
    job = _store().cancel(id)
    word = "is being cancelled" if job.state == "running" else "is cancelled"
    _tell(job, as_json, f"Job {id} {word}.")


@jobs.command("retry")
@_ID
@json_option
def retry_job(id: int, as_json: bool) -> None:
    """Start the same again from the beginning, as a new job."""
    store = _store()
    _renew_worker(store, id)
    job = store.retry(id)
    _start_worker(store)
    _tell(job, as_json, f"Job {job.id} does the same as job {id}.")


@jobs.command("resume")
@_ID
@json_option
def resume_job(id: int, as_json: bool) -> None:
    """Go on with a job that was interrupted, cancelled or failed, from where it stopped."""
    store = _store()
    _renew_worker(store, id)
    job = store.resume(id)
    _start_worker(store)
    _tell(job, as_json, f"Job {id} goes on; 'diffinv jobs watch {id}' shows how.")


@jobs.command("move")
@_ID
@click.argument("where", type=click.Choice(["up", "down", "first", "last"]))
@json_option
def move_job(id: int, where: str, as_json: bool) -> None:
    """Swap a queued job with the one before or after it, or make it first or last."""
    store = _store()
    if where in ("up", "down"):
        job = store.move(id, up=where == "up")
    else:
        job = store.move_to_end(id, first=where == "first")
    _tell(job, as_json, f"Job {id} was moved {where}.")


@jobs.command("clear")
@json_option
def clear_jobs(as_json: bool) -> None:
    """Forget the jobs that are done, failed or cancelled. What they made stays."""
    count = _store().clear()
    if as_json:
        print_json({"cleared": count})
    else:
        say(f"Forgot {plural(count, 'job')}.")


@jobs.command("pause")
@json_option
def pause(as_json: bool) -> None:
    """Start no more jobs; a running one goes on."""
    store = _store()
    store.set_paused(True)
    _tell_queue(store, as_json)


@jobs.command("unpause")
@json_option
def unpause(as_json: bool) -> None:
    """Go on with the queue."""
    store = _store()
    store.set_paused(False)
    _start_worker(store)
    _tell_queue(store, as_json)


def _tell_queue(store: JobStore, as_json: bool) -> None:
    if as_json:
        print_json({"paused": store.paused})
    else:
        say(why_paused(store) or "The queue goes on.")


def _store() -> JobStore:
    from ..jobs.store import JobStore

    store = JobStore()
    store.changes()
    if store.notice:
        complain(store.notice)
    return store


def _renew_worker(store: JobStore, id: int) -> None:
    from ..jobs.worker_environment import dismiss_stale_worker

    dismiss_stale_worker(store, store.get(id).device)


def _start_worker(store: JobStore) -> None:
    from ..jobs.launch import ensure_worker

    ensure_worker(store)


def _tell(job: Job, as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(_as_dict(job))
    else:
        say(sentence)


def _where(job: Job) -> str:
    """A job's progress in a few words."""
    from ..jobs.counting import MANY, count, so_far

    if job.damage:
        return job.damage
    if job.state == "queued":
        return _waits_for(job)
    if job.state == "done":
        what = "fetched" if job.kind == "fetch" else _made(job)
        return job.difference[0] if job.difference else what
    if job.error:
        done = f"{count(job)} done. " if job.kind in MANY and count(job) else ""
        return f"{done}{why_stopped(job)}"
    return f"{job.progress.phase} {so_far(job)}".strip()


def _waits_for(job: Job) -> str:
    if job.held:
        return "waits for 'diffinv jobs unpause'"
    if job.deaths:
        return "its worker stopped; another one goes on with it"
    return f"comes after job {job.waits_for}" if job.waits_for else ""


def _made(job: Job) -> str:
    """How many are done, out of how many."""
    from ..jobs.counting import learned

    if job.kind == "invert-many":
        return learned(job)
    done, failed = len(job.outputs), len(job.failures)
    whole = plural(done + failed, "picture")
    return f"{done} of {whole}, {failed} failed" if failed else whole


def _fields(job: Job) -> list[tuple[str, str]]:
    now = job.progress
    fields = [("job", str(job.id)), ("kind", job.kind), ("what", job.title), ("state", job.state)]
    fields += [("progress", _where(job)), ("device", job.device), ("created", _date(job.created))]
    if job.started:
        seconds = max(0.0, (job.finished or time.time()) - job.started)
        fields += [("started", _date(job.started)), ("seconds", f"{seconds:.1f}")]
    if now.memory_mb:
        fields += [("memory", f"{now.memory_mb:.0f} MB")]
    if job.losses:
        fields += [("loss", f"{job.losses[0]:.4f} → {job.losses[-1]:.4f}")]
    if job.difference:
        fields += [("difference", str(job.difference[1]))]
    shown = places(job.request)
    fields += [("result", shown(output.output)) for output in job.outputs]
    fields += [("note", note) for note in now.notes]
    fields += [("warning", warning) for warning in job.warnings]
    fields += [("failed", failure) for failure in job.failures]
    fields += [("preview", str(job.preview or "")), ("log", str(job.log))]
    return [(name, value) for name, value in fields if value]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _as_dict(job: Job) -> dict[str, Any]:
    from dataclasses import asdict

    fields = asdict(job)
    if job.difference:
        name, path = job.difference
        fields["difference"] = {"name": name, "path": str(path)}
    return fields
