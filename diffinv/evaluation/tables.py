"""A run as a table: means with intervals, and which differences are more than chance."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .scoring import Scores
from .statistics import bootstrap, holm, paired_p

OURS = "difference-inversion"

Table = dict[str, Any]


def table_of(
    scores: Mapping[str, Sequence[Scores]], errors: Mapping[str, Mapping[str, str]]
) -> Table:
    """``columns.<name>.scores.<score>.{mean, low, high, n}``; ``columns.<name>.p.<score>``, the
    corrected p of its difference from ours; ``columns.<name>.errors``, by triplet."""
    names = list(dict.fromkeys(n for rows in scores.values() for row in rows for n in row))
    table: Table = {
        column: {
            "scores": {n: asdict(bootstrap(_values(rows, n))) for n in names if _has(rows, n)},
            "errors": dict(errors.get(column, {})),
            "p": {},
        }
        for column, rows in scores.items()
    }
    if OURS in scores:
        for name in (n for n in names if n not in ("seconds", "evaluations", "peak_gb")):
            rivals = [c for c in scores if c != OURS and _has(scores[c], name)]
            ps = [paired_p(_values(scores[OURS], name), _values(scores[c], name)) for c in rivals]
            for column, p in zip(rivals, holm(ps), strict=True):
                table[column]["p"][name] = p
    return {"scores": names, "columns": table}


def as_csv(table: Table) -> str:
    """One line per column and score."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("method", "score", "mean", "low", "high", "n", "p"))
    for column, found in table["columns"].items():
        for score, one in found["scores"].items():
            numbers = (one["mean"], one["low"], one["high"])
            p = found["p"].get(score, "")
            writer.writerow((column, score, *(f"{x:.6g}" for x in numbers), one["n"], p))
    return out.getvalue()


def joined(tables: Mapping[str, Table]) -> Table:
    """Several tables as one, each column named ``TABLE/COLUMN`` unless there is only one."""
    names = dict.fromkeys(name for table in tables.values() for name in table["scores"])
    columns = {
        name if len(tables) == 1 else f"{place}/{name}": column
        for place, table in tables.items()
        for name, column in table["columns"].items()
    }
    return {"scores": list(names), "columns": columns}


def cell(table: Table, column: str, score: str) -> str:
    """``mean [low, high]``, a star where it differs from ours by more than chance (p < .05)."""
    one = table["columns"][column]["scores"].get(score)
    if one is None or not one["n"]:
        return "–"
    digits = 1 if score.startswith("psnr") or score in ("seconds", "evaluations") else 3
    star = "*" if table["columns"][column]["p"].get(score, 1.0) < 0.05 else ""
    low, high = (f"{one[end]:.{digits}f}" for end in ("low", "high"))
    return f"{one['mean']:.{digits}f}{star} [{low}, {high}]"


def shown_scores(table: Table) -> list[str]:
    """The scores in the order of a table: truth first, cost last."""
    first = ("right", "edit", "kept")
    names = [n for n in first if n in table["scores"]]
    return [*names, *(n for n in table["scores"] if n not in first)]


def _values(rows: Sequence[Scores], name: str) -> list[float]:
    return [row.get(name, math.nan) for row in rows]


def _has(rows: Sequence[Scores], name: str) -> bool:
    return any(name in row for row in rows)
