"""Fetches models, in a job or in the foreground."""

from __future__ import annotations

import os
import pkgutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..contracts import Spec
from ..errors import DiffinvError
from ..plugins.checking import describe, kind_of
from ..plugins.model_states import partial_folder, plugin_part
from ..running.progress import OnProgress, Progress
from ..system import hub
from ..system.files import make_folder
from ..system.local_models import own_folder
from ..system.text import plural, readable
from .requests import FetchRequest


@dataclass(frozen=True)
class Source:
    """A model that can be fetched: ``about`` says what it consists of, ``size`` is in bytes."""

    model: str
    about: str
    size: int
    fetch: Callable[[hub.Report], Path]


def run_fetch(request: FetchRequest, on_progress: OnProgress) -> None:
    """Fetch all models of a request. What an earlier run has brought is kept."""
    on_progress(Progress("Asking what there is to fetch"))
    fetch_all(sources(request.models), on_progress)


def sources(
    models: Sequence[str], full_precision: bool = False, include: Sequence[str] = ()
) -> list[Source]:
    """Ask where each model comes from. Raises DiffinvError if the hub does not answer."""
    found = []
    for model in dict.fromkeys(models):
        spec = plugin_part(model)
        found.append(_of_plugin(model, spec) if spec else _of_hub(model, full_precision, include))
    return found


def fetch_all(found: Sequence[Source], on_progress: OnProgress) -> list[Path]:
    """Fetch one after another; the progress is in bytes over all of them. Their folders."""
    total, before, folders = sum(source.size for source in found), 0, []
    for source in found:
        pace = _Pace(f"Fetching {source.model}", before, total, on_progress)
        folders.append(source.fetch(pace))
        before += source.size
    return folders


def _of_hub(model: str, full_precision: bool, include: Sequence[str]) -> Source:
    wanted = hub.describe(model, full_precision, include)
    files = plural(len(wanted.files), "file")
    about = f"{files}, {readable(wanted.size)}, licence {wanted.licence}"
    return Source(model, about, wanted.size, partial(hub.fetch, wanted))


def _of_plugin(model: str, spec: Spec) -> Source:
    size = int(spec.size_mb * 10**6)
    about = f"{readable(size)}, licence {spec.licence or 'not stated'}"
    return Source(model, about, size, partial(_fetch_by_plugin, spec))


def _fetch_by_plugin(spec: Spec, report: hub.Report) -> Path:
    """Let a part fill its folder, which gets its name once it is whole."""
    part, whole = partial_folder(spec), own_folder(kind_of(spec), spec.id)
    if whole.is_dir():
        return whole
    assert spec.fetch
    make_folder(part)
    told = _Told(report)
    try:
        pkgutil.resolve_name(spec.fetch)(part, told)
        os.replace(part, whole)
    except DiffinvError:
        raise
    except BaseException as error:
        if error is told.ended or isinstance(error, KeyboardInterrupt):
            raise
        raise DiffinvError(
            f"The model of {spec.id!r} cannot be fetched: {describe(error)}."
        ) from error
    return whole


class _Told:
    """A report as plugins get it: knows whether it was our own side that ended the fetching."""

    def __init__(self, report: hub.Report) -> None:
        self._report = report
        self.ended: BaseException | None = None

    def __call__(self, done: int, total: int) -> None:
        try:
            self._report(int(done), int(total))
        except Exception as error:
            self.ended = error
            raise


class _Pace:
    """Turns bytes into progress, with those a second since this run began."""

    def __init__(self, phase: str, before: int, total: int, on_progress: OnProgress) -> None:
        self._phase, self._before, self._total = phase, before, total
        self._emit = on_progress
        self._first: int | None = None
        self._started = time.perf_counter()

    def __call__(self, done: int, total: int) -> None:
        """``done`` of this model's ``total`` bytes are here."""
        step = self._before + done
        if self._first is None:
            self._first, self._started = step, time.perf_counter()
        rate = (step - self._first) / max(1e-9, time.perf_counter() - self._started)
        eta = (self._total - step) / rate if rate else None
        total = max(step, self._total)
        self._emit(Progress(self._phase, step, total, None, rate or None, eta, is_bytes=True))
