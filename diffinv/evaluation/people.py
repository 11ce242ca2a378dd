"""What people answered in a study: Table 2, with intervals and agreement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DiffinvError
from .statistics import Estimate
from .study import Key

_RESAMPLES = 2_000


@dataclass(frozen=True)
class People:
    """Table 2: each column's share of all choices; Krippendorff's alpha of the choices, NaN for
    fewer than two people; and who was counted, or left out for which reason."""

    shares: Mapping[str, Estimate]
    alpha: float
    participants: int
    answers: int
    left_out: tuple[str, ...]


def read_people(key: Key, files: Sequence[Path]) -> People:
    """People's answers by the key. Files that are not of this study, second files of a person, and
    people who miss an attention check are left out, with the reason."""
    chosen: dict[str, NDArray[np.float64]] = {}
    left_out = []
    for path in files:
        try:
            person, given = _read(key, path)
            if person in chosen:
                raise DiffinvError("has the answers of a person already counted")
            _pay_attention(key, given)
        except DiffinvError as error:
            left_out.append(f"{path.name} {error}")
            continue
        chosen[person] = _row(key, given)
    if not chosen:
        reasons = "; ".join(left_out[:3]) or "there is none"
        raise DiffinvError(f"No file of answers can be counted: {reasons}.")
    table = np.stack(list(chosen.values()))
    return People(
        shares=_shares(table, key.columns),
        alpha=_agreement(table, len(key.columns)),
        participants=len(table),
        answers=int((~np.isnan(table)).sum()),
        left_out=tuple(left_out),
    )


def _read(key: Key, path: Path) -> tuple[str, dict[str, str]]:
    """A person, and the option they chose for each question they answered."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        person, study = str(found["participant"]), found["study"]
        given = {str(a["question"]): str(a["chosen"]) for a in found["answers"] if "chosen" in a}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DiffinvError(f"is no file of answers ({error})") from error
    if study != key.study:
        raise DiffinvError("has the answers to another study")
    return person, given


def _pay_attention(key: Key, given: Mapping[str, str]) -> None:
    missed = sum(given[id] != right for id, right in key.checks.items() if id in given)
    if missed:
        raise DiffinvError(f"misses {missed} of {len(key.checks)} attention checks")


def _row(key: Key, given: Mapping[str, str]) -> NDArray[np.float64]:
    """The places of the chosen columns, question by question; NaN where there is no answer."""
    row = np.full(len(key.options), np.nan)
    for place, (id, options) in enumerate(key.options.items()):
        if (column := options.get(given.get(id, ""))) is not None:
            row[place] = key.columns.index(column)
    return row


def _shares(table: NDArray[np.float64], columns: Sequence[str]) -> dict[str, Estimate]:
    """With bootstrap intervals over people and questions at once, since both are samples."""
    rng = np.random.default_rng(0)
    people, questions = table.shape
    draws = []
    for _ in range(_RESAMPLES):
        rows, places = rng.integers(people, size=people), rng.integers(questions, size=questions)
        draws.append(_share(table[np.ix_(rows, places)], len(columns)))
    low, high = np.nanquantile(np.stack(draws), [0.025, 0.975], axis=0)
    means, n = _share(table, len(columns)), int((~np.isnan(table)).sum())
    return {
        column: Estimate(float(means[i]), float(low[i]), float(high[i]), n)
        for i, column in enumerate(columns)
    }


def _share(table: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    given = table[~np.isnan(table)].astype(int)
    counts = np.bincount(given, minlength=columns).astype(np.float64)
    return counts / len(given) if len(given) else np.full(columns, np.nan)


def _agreement(table: NDArray[np.float64], columns: int) -> float:
    if len(table) < 2:
        return float("nan")
    try:
        import krippendorff
    except ImportError as error:
        raise DiffinvError(
            "Agreement is measured by krippendorff; 'pip install \"diffinv[evaluate]\"' adds it."
        ) from error
    try:
        found = krippendorff.alpha(
            reliability_data=table,
            level_of_measurement="nominal",
            value_domain=np.arange(columns, dtype=np.float64),
        )
    except ValueError:  # nobody answered a question that another one did
        return float("nan")
    return float(found)
