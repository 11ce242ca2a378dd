"""Work on a Ray cluster: one actor for each GPU, or for as many CPUs as torch uses here.

An actor that dies, with its machine or alone, is replaced, and its task is done once more by
another one. With as many threads as here, results on CPUs are the same to the last bit.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import DiffinvError
from ..plugins.checking import describe
from .engine import Pool, Work

_TRIES = 3
"""How often a task may take its actor with it, or actors die one after another before they start,
until it is given up."""

_TICK = 1.0
"""Seconds between two looks at what else there is to do while workers are waited for."""

_PATIENCE = 600.0
"""Seconds to wait for a place for the first actor, say for machines that are being started."""


class RayEngine:
    """See :class:`diffinv.engines.Engine`. ``address`` None is the cluster this machine belongs to,
    or one of its own."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    @contextmanager
    def started(self, make: Callable[[], Work]) -> Iterator[Pool]:
        """As many actors as there is room for."""
        ray = _ray()
        _connect(ray, self._address)
        try:
            yield _Actors(ray, make)
        finally:
            ray.shutdown()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    return ray


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    ending = signal.getsignal(signal.SIGTERM)
    try:
        if address:
            ray.init(address=address, **quiet)
            return
        try:
            ray.init(address="auto", **quiet)
        except ConnectionError:
            ray.init(include_dashboard=False, **quiet)
    except Exception as error:
        where = f"at {address}" if address else "on this machine"
        raise DiffinvError(
            f"There is no Ray cluster {where}: {describe(error)}; 'ray status' says what there is."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ending)  # Ray's own ends the process at once


class _Actors:
    """Actors that are starting, idle and busy. None is given a task before it has started: there
    may be no room for it until a machine comes back."""

    def __init__(self, ray: Any, make: Callable[[], Work]) -> None:
        self._ray, self._needs = ray, _needs(ray)
        self._make = ray.put(make)
        self._class = ray.remote(**self._needs)(_Actor)
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._has_started, self._stillborn = False, 0

    def run(
        self, tasks: Sequence[Any], tick: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Any]]:
        """As they are ready."""
        left, tries = deque(range(len(tasks))), [0] * len(tasks)
        busy: dict[Any, tuple[Any, int]] = {}
        while left or busy:
            here = len(busy) + len(self._idle) + len(self._starting)
            self._start(min(len(left) + len(busy), self._room()) - here)  # machines may join
            while left and self._idle:
                actor, place = self._idle.pop(), left.popleft()
                busy[actor.work.remote(tasks[place])] = actor, place
            ready = self._wait([*busy, *self._starting], tick)
            if ready in self._starting:
                self._welcome(ready)
                continue
            actor, place = busy.pop(ready)
            try:
                result = self._ray.get(ready)
            except self._ray.exceptions.RayTaskError as error:
                raise _cause(error) from error
            except self._ray.exceptions.RayError as error:
                tries[place] += 1
                if tries[place] == _TRIES:
                    raise DiffinvError(
                        f"{_TRIES} workers died of the same task: {describe(error)}"
                    ) from error
                left.appendleft(place)
                continue
            self._idle.append(actor)
            yield place, result

    def _room(self) -> int:
        have = self._ray.cluster_resources()
        if "num_gpus" in self._needs:
            return max(1, int(have.get("GPU", 0)))  # all may be gone for a while
        return max(1, int(have.get("CPU", 1) // self._needs["num_cpus"]))

    def _start(self, count: int) -> None:
        """So many more actors, if any."""
        for _ in range(count):
            actor = self._class.remote(self._make)
            self._starting[actor.start.remote()] = actor

    def _welcome(self, ready: Any) -> None:
        """Take in an actor that has started, unless it died in starting; if its factory failed, all
        others would fail too."""
        actor = self._starting.pop(ready)
        try:
            self._ray.get(ready)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from error
        except self._ray.exceptions.RayError as error:
            self._stillborn += 1
            if self._stillborn == _TRIES:
                raise DiffinvError(f"No worker would start: {describe(error)}") from error
            return
        self._has_started, self._stillborn = True, 0
        self._idle.append(actor)

    def _wait(self, waiting: list[Any], tick: Callable[[], None]) -> Any:
        began = time.monotonic()
        while True:
            ready, _ = self._ray.wait(waiting, num_returns=1, timeout=_TICK)
            if ready:
                return ready[0]
            tick()
            if not self._has_started and time.monotonic() - began > _PATIENCE:
                needs = ", ".join(f"{name} {count:g}" for name, count in self._needs.items())
                raise DiffinvError(
                    f"The Ray cluster had no room for a worker ({needs}) for "
                    f"{_PATIENCE / 60:.0f} minutes; 'ray status' says what it has."
                )


def _needs(ray: Any) -> dict[str, Any]:
    """What an actor takes of the cluster."""
    if ray.cluster_resources().get("GPU"):
        return {"num_gpus": 1}
    import torch

    threads = torch.get_num_threads()
    variables = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return {"num_cpus": threads, "runtime_env": {"env_vars": variables}}


def _cause(error: Any) -> BaseException:
    cause: BaseException = error.cause
    return cause if isinstance(cause, DiffinvError) else DiffinvError(describe(cause))


class _Actor:
    """One worker on some machine of the cluster."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self._make = make
        self._work: Work | None = None

    def start(self) -> None:
        """Make the worker; a failure of this is told apart from a machine's death."""
        self._work = self._make()

    def work(self, task: Any) -> Any:
        """Do a task."""
        assert self._work is not None
        return self._work(task)
