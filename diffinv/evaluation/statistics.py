"""Means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval over n cases."""

    mean: float
    low: float
    high: float
    n: int


def bootstrap(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean and its 95 % percentile bootstrap interval; NaNs are left out."""
    data = np.asarray(values, dtype=np.float64)
    data = data[~np.isnan(data)]
    if len(data) == 0:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = data[rng.integers(len(data), size=(_RESAMPLES, len(data)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def paired_p(first: Sequence[float], second: Sequence[float], seed: int = 0) -> float:
    """The two-sided p of a paired permutation test: how often random signs make the mean difference
    at least as large. Pairs with a NaN are left out; 1 if nothing is left."""
    difference = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    difference = difference[~np.isnan(difference)]
    if not difference.any():
        return 1.0
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(_RESAMPLES, len(difference)))
    chance = np.abs((signs * difference).mean(axis=1))
    at_least = (chance >= abs(difference.mean()) - 1e-12).sum()
    return float((at_least + 1) / (_RESAMPLES + 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction of several p values for their number, in their order."""
    order = np.argsort(ps)
    corrected, running = np.empty(len(ps)), 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = running
    return corrected.tolist()
