"""Whether differences read like what they are: the right word among the first three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diffinv.evaluation.statistics import bootstrap
from diffinv.method.deltas import deltas
from diffinv.method.settings import ApplicationSettings, InversionSettings
from diffinv.method.words import Reading

from .captions import words_for
from .evaluation import Batch, Parts
from .world import Analogy

FIRST = 3

_BATCH = 100


@dataclass(frozen=True)
class Read:
    """One analogy: how its difference reads, and whether a word that only the new value has is
    among the first (for what is removed, one that only the old value has)."""

    kind: str
    reading: Reading
    is_right: bool


def evaluate_readings(
    analogies: Sequence[Analogy], parts: Parts, inversion: InversionSettings
) -> list[Read]:
    """A reading for each analogy. Nothing is learned: differences are read by D_inter (Eq 4)."""
    found: list[Read] = []
    for start in range(0, len(analogies), _BATCH):
        chosen = analogies[start : start + _BATCH]
        batch = Batch(chosen, parts, inversion, ApplicationSettings(), seed=start)
        rows = zip(chosen, batch.a, batch.a_prime, batch.cap_a, batch.cap_a_prime, strict=True)
        for analogy, a, a_prime, cap_a, cap_a_prime in rows:
            delta = deltas(
                parts.encoder, ([a], [a_prime]), ([cap_a], [cap_a_prime]), inversion.alpha
            )
            reading = batch.vocabulary.read(delta.inter, FIRST)
            found.append(Read(analogy.edit.kind, reading, _is_right(analogy, reading)))
    return found


def summary(read: Sequence[Read]) -> dict[str, dict[str, float]]:
    """The share that reads right, for each type of edit and in all."""
    groups = {kind: [r for r in read if r.kind == kind] for kind in sorted({r.kind for r in read})}
    estimates = {
        kind: bootstrap([float(r.is_right) for r in rows])
        for kind, rows in (groups | {"all": list(read)}).items()
    }
    return {
        kind: {"mean": one.mean, "low": one.low, "high": one.high, "n": one.n}
        for kind, one in estimates.items()
    }


def _is_right(analogy: Analogy, reading: Reading) -> bool:
    edit = analogy.edit
    before, after = (words_for(edit.attribute, value) for value in (edit.before, edit.after))
    if after:
        return bool((after - before) & set(reading.brings))
    return bool((before - after) & set(reading.takes))
