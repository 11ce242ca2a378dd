"""Whether a result follows the strength: how much of the true change is made at each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffinv.evaluation.statistics import bootstrap
from diffinv.method.application import extend_all
from diffinv.method.settings import ApplicationSettings, InversionSettings

from .evaluation import Batch, Parts
from .world import Analogy

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
CONTINUOUS = ("light", "recolour")
"""The types of edits with something in between: the time of day, and the hue."""

_SLACK = 0.02
"""A step back by so little of the true change is noise."""

_BATCH = 20

OnBatch = Callable[[int, int], None]


@dataclass(frozen=True)
class Curve:
    """One analogy: which part of the true change the pixels have made at each strength."""

    kind: str
    parts: tuple[float, ...]

    @property
    def is_monotone(self) -> bool:
        """Whether more strength never makes less of the change."""
        return all(after >= before - _SLACK for before, after in pairwise(self.parts))


def evaluate_strengths(
    analogies: Sequence[Analogy],
    parts: Parts,
    inversion: InversionSettings,
    application: ApplicationSettings,
    on_batch: OnBatch | None = None,
) -> list[Curve]:
    """A curve for each analogy. The part at strength w is <B'_w - B'_0, B' - B> / |B' - B|^2."""
    curves: list[Curve] = []
    for start in range(0, len(analogies), _BATCH):
        chosen = analogies[start : start + _BATCH]
        batch = Batch(chosen, parts, inversion, application, seed=start)
        made = [_at(batch, strength) for strength in STRENGTHS]
        for i, analogy in enumerate(chosen):
            change = _pixels(batch.b_prime[i]) - _pixels(batch.b[i])
            moved = [_pixels(images[i]) - _pixels(made[0][i]) for images in made]
            shares = tuple(float((m * change).sum() / (change**2).sum()) for m in moved)
            curves.append(Curve(analogy.edit.kind, shares))
        if on_batch:
            on_batch(start + len(chosen), len(analogies))
    return curves


def summary(curves: Sequence[Curve]) -> dict[str, object]:
    """The share of monotone curves and the mean curve, for each type of edit and in all."""
    groups = {kind: [c for c in curves if c.kind == kind] for kind in CONTINUOUS}
    return {kind: _of(rows) for kind, rows in (groups | {"all": list(curves)}).items() if rows}


def _of(curves: Sequence[Curve]) -> dict[str, object]:
    monotone = bootstrap([float(curve.is_monotone) for curve in curves])
    means = np.mean([curve.parts for curve in curves], axis=0).round(3).tolist()
    return {
        "monotone": monotone.mean,
        "low": monotone.low,
        "high": monotone.high,
        "n": monotone.n,
        "parts": dict(zip(map(str, STRENGTHS), means, strict=True)),
    }


def _at(batch: Batch, strength: float) -> list[Image.Image]:
    """Every B' at a strength."""
    wordings = batch.wordings(batch.b, batch.prompt_b)
    if wordings:
        wordings = [replace(one, amount=strength) for one in wordings]
    target = extend_all(
        batch.parts.backbone,
        batch.source,
        batch.prompt_b,
        [(batch.tokens, strength)],
        wordings,
    )
    return batch.edit(target)


def _pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, dtype=np.float64)
