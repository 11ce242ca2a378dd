"""Writes a running job's progress to its row, and brings back its cancellation."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from dataclasses import replace
from types import TracebackType

import psutil

from ..errors import DiffinvError
from ..plugins.checking import describe
from ..running.progress import PREVIEW, Progress
from ..system.text import text_safe
from .job import JobProgress
from .store import JobStore, Report

_EVERY = 0.25
"""Seconds between two writes."""

_POINTS = 200
"""The most points a loss curve keeps."""


class JobStopped(Exception):  # noqa: N818 - not an error: it was asked for
    """The job was cancelled, or its worker was told to end."""


class Reporter:
    """``with Reporter(store, id) as report: run(request, report)``.

    ``earlier`` is how far the job came before it was interrupted. A separate thread does the
    writing, so that steps never wait for the disk. The next event raises JobStopped once the job
    has been cancelled or :meth:`stop` was called.
    """

    def __init__(self, store: JobStore, id: int, earlier: JobProgress | None = None) -> None:
        self._store, self._id = store, id
        self._lock = threading.Lock()
        self._report = Report(earlier or JobProgress())
        self._before = 0
        self._losses: dict[int, float] = {}
        self._notes: list[str] = []
        self._is_new = False
        self._failure: Exception | None = None
        self._stopped = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write_on, daemon=True)

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._write()
        if error is None:
            self._check()

    def __call__(self, event: Progress) -> None:
        """Note one event."""
        with self._lock:
            self._note(event)
            self._is_new = True
        self._check()
        if self._stopped.is_set():
            raise JobStopped

    def stop(self) -> None:
        """End the job between two steps."""
        self._stopped.set()

    def _check(self) -> None:
        """Raise DiffinvError if the writing thread has died: nobody would see the job go on, or
        could cancel it."""
        if self._failure:
            raise DiffinvError(
                f"The job's progress could not be recorded ({describe(self._failure)}); "
                "please report this."
            ) from self._failure

    def _note(self, event: Progress) -> None:
        report = self._report
        if event.warning:
            report.warnings.append(event.warning)
            _log(f"Warning: {event.warning}")
        elif event.note:
            self._notes.append(event.note)
            _log(event.note)
        elif event.output:
            report.outputs.append(event.output)
            _log(f"{event.output.input} -> {event.output.output}")
        else:
            if event.phase != report.progress.phase:
                _log(event.phase)
            if event.loss is not None:
                self._losses[event.step] = event.loss
            report.progress = self._advanced(event)

    def _advanced(self, event: Progress) -> JobProgress:
        """The progress after an event. Its share never falls."""
        pictures, share = self._report.progress.pictures, self._report.progress.share
        if event.pictures:
            self._before, pictures = event.pictures
        if event.total and event.phase != PREVIEW:
            now = event.step / event.total
            if pictures:
                now = (self._before + now * (pictures - self._before)) / pictures
            share = max(share or 0.0, now)
        return JobProgress(
            event.phase,
            event.step,
            event.total,
            event.rate,
            event.eta,
            event.loss,
            pictures=pictures,
            share=share,
        )

    def _write_on(self) -> None:
        while not self._ended.wait(_EVERY):
            self._write()
        self._store.close()

    def _write(self) -> None:
        """One write. If it fails (a full disk), the next one includes everything again; if that
        cannot help, the job ends."""
        if self._failure:
            return
        with self._lock:
            report = self._snapshot()
            self._report.outputs, self._is_new = [], False
        try:
            if self._store.report(self._id, report):
                self._stopped.set()
        except DiffinvError as error:
            _log(str(error))
            with self._lock:
                self._report.outputs, self._is_new = report.outputs + self._report.outputs, True
        except Exception as error:
            traceback.print_exc()
            self._failure = error

    def _snapshot(self) -> Report:
        now = self._report.progress
        progress = replace(now, memory_mb=memory_mb(), notes=list(self._notes))
        losses = thinned([self._losses[step] for step in sorted(self._losses)])
        return Report(progress, losses, list(self._report.warnings), self._report.outputs)


def thinned(losses: list[float]) -> list[float]:
    """A curve of at most ``_POINTS`` points, each a mean of neighbours."""
    size = -(-len(losses) // _POINTS) or 1
    groups = [losses[i : i + size] for i in range(0, len(losses), size)]
    return [round(sum(group) / len(group), 6) for group in groups]


def memory_mb() -> float:
    """Memory held by this process: on the GPU if it uses one, else in the machine."""
    with contextlib.suppress(KeyError, AttributeError):  # not imported, or only half imported
        cuda = sys.modules["torch"].cuda
        if cuda.is_initialized():
            return round(cuda.memory_reserved() / 2**20, 1)
    return round(psutil.Process().memory_info().rss / 2**20, 1)


def _log(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text_safe(line)}", file=sys.stderr, flush=True)
