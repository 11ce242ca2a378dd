"""One device's worker: ``python -m diffinv.jobs.worker --folder FOLDER --device DEVICE``.

It takes jobs from the queue one after another, keeps its models loaded between them, and exits
when there has been nothing to do for a while.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DiffinvError
from ..plugins.checking import describe
from ..plugins.loading import reload_if_changed
from ..running.models import Models
from ..system.files import make_folder
from ..system.streams import pointed
from .fetching import run_fetch
from .job import Job
from .job_rows import CHECKPOINT
from .many import ManyReport, learn_many
from .process import this_process
from .reporter import JobStopped, Reporter
from .requests import FetchRequest, InvertManyRequest, InvertRequest
from .store import JobStore
from .tasks import run_application, run_inversion
from .workspace import Workspace

_LOOK_EVERY = 0.2
_GIVE_UP_AFTER = 120.0
"""Seconds for which to keep trying to write a finished job's row, say while the disk is full."""


class Worker:
    """Carries out one device's jobs until there have been none for ``idle`` seconds."""

    def __init__(
        self,
        store: JobStore,
        device: str,
        idle: float = 300.0,
        checkpoint_every: float = 2.0,
        log_to_files: bool = False,
    ) -> None:
        self.store, self.device, self.idle = store, device, idle
        self.checkpoint_every, self._log_to_files = checkpoint_every, log_to_files
        self.models = Models()
        self._me = this_process()
        self._ending = threading.Event()
        self._reporter: Reporter | None = None

    def run(self) -> None:
        """Work; return at once if the device already has a worker."""
        if not self.store.register(self.device, self._me):
            return
        try:
            self._work()
        finally:
            self.store.leave(self.device, self._me, force=True)

    def end(self) -> None:
        """Interrupt the running job between two steps, and exit."""
        self._ending.set()
        if self._reporter:
            self._reporter.stop()

    def _work(self) -> None:
        last = time.monotonic()
        while not self._ending.is_set():
            try:
                if job := self.store.claim(self.device, self._me):
                    self._carry_out(job)
                    last = time.monotonic()
                elif self.store.worker(self.device) != self._me:
                    return  # the job list was set aside; the new one does not know this worker
                elif time.monotonic() - last < self.idle:
                    self._ending.wait(_LOOK_EVERY)
                elif self.store.leave(self.device, self._me):
                    return
            except DiffinvError as error:  # locked for too long, or no space left
                print(error, file=sys.stderr, flush=True)
                if self._ending.wait(1.0) or time.monotonic() - last > _GIVE_UP_AFTER:
                    raise

    def _carry_out(self, job: Job) -> None:
        with self._logging(job):
            outcome = self._outcome(job)
        self._reporter = None
        self._finish(job, outcome)

    def _outcome(self, job: Job) -> dict[str, Any]:
        """What becomes of a job, whatever happens in it."""
        try:
            with Reporter(self.store, job.id, job.progress) as reporter:
                self._reporter = reporter
                return self._run(job, reporter)
        except JobStopped:
            return self._stopped(job)
        except DiffinvError as error:
            return {"state": "failed", "error": str(error), "exit_code": error.exit_code}
        except (Exception, SystemExit) as error:  # a plugin may do anything
            traceback.print_exc()
            return {"state": "failed", "error": _sentence(error, job)}

    def _run(self, job: Job, reporter: Reporter) -> dict[str, Any]:
        if job.damage:
            raise DiffinvError(job.damage)
        resumed = job.attempts > 1
        reload_if_changed()
        if isinstance(job.request, FetchRequest):
            run_fetch(job.request, reporter)
            return {"state": "done"}
        if isinstance(job.request, InvertRequest):
            workspace = Workspace(job.folder, resumed, self.checkpoint_every)
            learned, path = run_inversion(job.request, reporter, self.models, workspace)
            return {"state": "done", "difference": (learned.info.name, path)}
        if isinstance(job.request, InvertManyRequest):
            return _learned(learn_many(job.request, reporter, self.models))
        report = run_application(job.request, reporter, self.models, resumed)
        outcome = {"state": "done", "failures": report.failures, "skipped": report.skipped}
        if report.failures and not report.outputs:
            error = f"None of the {len(report.failures)} pictures could be done."
            outcome |= {"state": "failed", "error": error}
        return outcome

    def _stopped(self, job: Job) -> dict[str, Any]:
        if not self._ending.is_set():
            return {"state": "cancelled"}
        error = f"Job {job.id} was interrupted: its worker was told to end."
        return {"state": "interrupted", "error": error}

    def _finish(self, job: Job, outcome: dict[str, Any]) -> None:
        deadline = time.monotonic() + _GIVE_UP_AFTER
        while True:
            try:
                self.store.finish(job.id, **outcome)
                if outcome["state"] == "done":
                    (job.folder / CHECKPOINT).unlink(missing_ok=True)
                return
            except DiffinvError as error:
                print(error, file=sys.stderr, flush=True)
                if time.monotonic() > deadline or self._ending.wait(1.0):
                    raise

    @contextlib.contextmanager
    def _logging(self, job: Job) -> Iterator[None]:
        """Send whatever is printed while a job runs, by libraries too, to the job's log."""
        try:
            make_folder(job.folder)
            log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            print(f"{job.log} cannot be written: {error}", file=sys.stderr, flush=True)
            yield
            return
        with contextlib.closing(os.fdopen(log, "ab")):
            if self._log_to_files:
                with _redirected(log):
                    yield
            else:
                yield


@contextlib.contextmanager
def _redirected(log: int) -> Iterator[None]:
    """Point file descriptors 1 and 2 at another file inside the block."""
    with pointed(1, log), pointed(2, log):
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _learned(report: ManyReport) -> dict[str, Any]:
    outcome = {"state": "done", "failures": report.failures, "skipped": report.skipped}
    if report.failures and not report.kept:
        error = f"None of the {len(report.failures)} differences could be learned."
        outcome |= {"state": "failed", "error": error}
    return outcome


def _sentence(error: BaseException, job: Job) -> str:
    what = describe(error)
    if isinstance(error, SystemExit):
        what = f"A part of a plugin ended the job: {what}"
    return f"{what} (details: {job.log})."


def main(args: list[str] | None = None) -> None:
    """The worker as a process."""
    parser = argparse.ArgumentParser(prog="diffinv.jobs.worker", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the job list is")
    parser.add_argument("--device", required=True, help="whose jobs to carry out")
    parser.add_argument("--idle", type=float, default=300.0, help="idle seconds until it exits")
    parser.add_argument(
        "--checkpoint-every", type=float, default=2.0, help="seconds between checkpoints"
    )
    given = parser.parse_args(args)
    worker = Worker(
        JobStore(given.folder), given.device, given.idle, given.checkpoint_every, log_to_files=True
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.end())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker.run()
    except DiffinvError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
