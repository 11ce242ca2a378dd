"""Shared by the benchmarks: paired timing, and the line that says where they ran."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version


def where(device: str) -> str:
    """Device and versions, to print beside figures."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} cores"
    libraries = ", ".join(f"{x} {version(x)}" for x in ("torch", "diffusers", "transformers"))
    return f"{device} ({name}), Python {platform.python_version()}, {libraries}"


def paired(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int
) -> tuple[float, float, float]:
    """Median seconds of each, and the median of the ratios ours / theirs, pair by pair."""
    ours()
    theirs()
    rows = [(_seconds(ours), _seconds(theirs)) for _ in range(rounds)]
    first, second = zip(*rows, strict=True)
    ratio = statistics.median(a / b for a, b in rows)
    return statistics.median(first), statistics.median(second), ratio


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
