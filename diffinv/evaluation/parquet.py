"""Triplets in Parquet: with a manifest's columns, or those of InstructPix2Pix's data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DiffinvError, UsageError
from ..plugins.checking import describe
from .layouts import PICTURES, Row, row_of

_BEFORE, _EDIT, _AFTER = "original_image", "edit_prompt", "edited_image"
_CAPTIONS = ("original_prompt", "edited_prompt")


def of_parquet(paths: Sequence[Path], count: int | None, seed: int) -> tuple[list[Row], list[str]]:
    """The rows of one table in several files, and what is wrong with damaged ones, by row. Pictures
    are paths, files' contents, or the hub's ``{bytes, path}``; only those that are needed are read.
    """
    table = _dataset(paths)
    names = set(table.schema.names)
    try:
        if {_BEFORE, _EDIT, _AFTER} <= names:
            return _of_instruct_pix2pix(table, count or 300, seed), []
        return _of_manifest(table, paths[0].parent, count)
    except DiffinvError:
        raise
    except Exception as error:
        raise _unreadable(paths[0], error) from error


def _dataset(paths: Sequence[Path]) -> Any:
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise UsageError(
            f"{str(paths[0])!r} needs pyarrow; 'pip install \"diffinv[evaluate]\"' adds it."
        ) from error
    try:
        return pyarrow.dataset.dataset([str(path) for path in paths], format="parquet")
    except Exception as error:
        raise _unreadable(paths[0], error) from error


def _unreadable(path: Path, error: Exception) -> DiffinvError:
    return DiffinvError(f"The table {str(path)!r} cannot be read: {describe(error)}.")


def _of_manifest(table: Any, folder: Path, count: int | None) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    faults: list[str] = []
    found = table.head(count) if count else table.to_table()
    for number, line in enumerate(found.to_pylist(), 1):
        where = f"row {number}"
        try:
            pictures = {key: line[name] for key, name in PICTURES.items() if line.get(name)}
            texts = {k: v for k, v in line.items() if isinstance(v, str)}
            row = row_of(where, number, texts, folder)
            held = {k: _picture(v, folder) for k, v in pictures.items() if k not in row.pictures}
            rows.append(replace(row, pictures={**row.pictures, **held}))
        except DiffinvError as error:
            faults.append(f"{where} {error}")
        except (TypeError, ValueError):
            faults.append(f"{where} is damaged")
    return rows, faults


def _picture(value: object, folder: Path) -> Path | bytes:
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return folder / value
    raise TypeError(value)


def _of_instruct_pix2pix(table: Any, count: int, seed: int) -> list[Row]:
    """A and A' from one row, B and B' from another one with the same instruction."""
    edits = table.to_table(columns=[_EDIT])[_EDIT].to_pylist()
    drawn = list(_drawn(edits, count, seed))
    wanted = sorted({place for pair in drawn for place in pair})
    names = [n for n in (_BEFORE, _AFTER, *_CAPTIONS) if n in table.schema.names]
    lines = table.take(wanted, columns=names).to_pylist()
    known = dict(zip(wanted, lines, strict=True))
    return [
        _row(first, second, known[first], known[second], edits[first]) for first, second in drawn
    ]


def _drawn(edits: Sequence[str | None], count: int, seed: int) -> Iterator[tuple[int, int]]:
    """Places (of A's row, of B's), A's drawn without replacement."""
    same: dict[str, list[int]] = {}
    for place, edit in enumerate(edits):
        if edit:
            same.setdefault(edit, []).append(place)
    rng = np.random.default_rng(seed)
    firsts = sorted(place for places in same.values() if len(places) > 1 for place in places)
    for first in (firsts[int(i)] for i in rng.permutation(len(firsts))[:count]):
        others = [place for place in same[str(edits[first])] if place != first]
        yield first, others[int(rng.integers(len(others)))]


def _row(
    first: int, second: int, one: Mapping[str, Any], other: Mapping[str, Any], edit: str | None
) -> Row:
    values = one[_BEFORE], one[_AFTER], other[_BEFORE], other[_AFTER]
    pictures = {k: _picture(v, Path()) for k, v in zip(PICTURES, values, strict=True)}
    texts = [line.get(name) for line in (one, other) for name in _CAPTIONS]
    captions = {key: text for key, text in zip(PICTURES, texts, strict=True) if text}
    return Row(f"row {first + 1}", f"{first}-{second}", pictures, edit or "", captions)
