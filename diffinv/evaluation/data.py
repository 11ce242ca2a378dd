"""Triplets to compare methods on: from a world, a manifest, or a folder in a known layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts import Triplet, World
from ..errors import DiffinvError, UsageError
from ..pictures.reading import read_picture
from ..plugins.loading import registry
from ..system.files import sha256_of

if TYPE_CHECKING:
    from ..contracts import WorldSpec

PICTURES = {"a": "A", "a_prime": "A_prime", "b": "B", "b_prime": "B_prime"}
"""The columns of a manifest, and the names of pictures in a folder; ``B_prime`` may be missing."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Entry:
    """One triplet, its pictures not yet read. ``source`` says where they are, with their hashes, or
    is empty for what a world draws."""

    id: str
    open: Callable[[], Triplet]
    source: Mapping[str, Any]


@dataclass(frozen=True)
class Dataset:
    """Triplets in their order. ``faults`` are the rows that could not be used, each in a sentence;
    ``world`` made the triplets and judges answers, if one did."""

    name: str
    entries: tuple[Entry, ...]
    faults: tuple[str, ...] = ()
    world: World | None = None
    spec: WorldSpec | None = None


def open_data(text: str, count: int | None, seed: int) -> Dataset:
    """``WORLD[:CASE]``, a manifest (``.csv``, ``.jsonl``), or a folder: one folder a triplet,
    VISII's, or InstructPix2Pix's. ``count`` triplets at most, those of ``seed``."""
    id, _, case = text.partition(":")
    if id in registry().parts("world") and not Path(text).exists():
        return _world(id, case, count or 40, seed)
    path = Path(text)
    if path.is_dir():
        rows, faults = _of_folder(path, count, seed)
    elif path.suffix.casefold() in (".csv", ".jsonl"):
        rows, faults = _of_manifest(path)
    else:
        raise UsageError(
            f"--data {text!r} is neither a world ({', '.join(registry().parts('world'))}), nor a "
            "folder, nor a manifest (.csv, .jsonl)."
        )
    entries, more = _entries(rows)
    if not entries:
        reasons = "; ".join((*faults, *more)[:3]) or "it has none"
        raise UsageError(f"There is no triplet in {text!r}: {reasons}.")
    return Dataset(path.name, tuple(entries[:count]), (*faults, *more))


def _world(id: str, case: str, count: int, seed: int) -> Dataset:
    spec = registry().get("world", id)
    case = case or spec.cases[0]
    if case not in spec.cases:
        raise UsageError(f"The world {id!r} has no case {case!r}; it has {', '.join(spec.cases)}.")
    world: World = registry().create(spec, None, "cpu")
    found = world.triplets(count, seed, case)
    entries = tuple(Entry(one.id, partial(_same, one), {}) for one in found)
    return Dataset(f"{id}:{case}", entries, (), world, spec)


@dataclass(frozen=True)
class _Row:
    where: str
    id: str
    pictures: Mapping[str, Path]
    instruction: str = ""
    captions: Mapping[str, str] | None = None


def _entries(rows: Sequence[_Row]) -> tuple[list[Entry], list[str]]:
    """The rows whose pictures are there and whose ids are new, and what is wrong with the rest."""
    entries: list[Entry] = []
    faults: list[str] = []
    known: set[str] = set()
    for row in rows:
        missing = [str(path) for path in row.pictures.values() if not path.is_file()]
        lacking = [name for key, name in list(PICTURES.items())[:3] if key not in row.pictures]
        if lacking or missing:
            wrong = f"has no {lacking[0]}" if lacking else f"names {missing[0]!r}, which is missing"
            faults.append(f"{row.where} {wrong}")
        elif row.id in known:
            faults.append(f"{row.where} has the id {row.id!r} of another row")
        else:
            known.add(row.id)
            source = {n: [str(p), sha256_of(p)] for n, p in row.pictures.items()}
            entries.append(Entry(row.id, partial(_read, row), source))
    return entries, faults


def _read(row: _Row) -> Triplet:
    images: dict[str, Any] = {
        name: read_picture(path, PICTURES[name]) for name, path in row.pictures.items()
    }
    return Triplet(row.id, **images, instruction=row.instruction, captions=row.captions or {})


def _same(triplet: Triplet) -> Triplet:
    return triplet


def _of_manifest(path: Path) -> tuple[list[_Row], list[str]]:
    rows: list[_Row] = []
    faults: list[str] = []
    for number, line in _lines(path):
        where = f"line {number}"
        if not isinstance(line, dict):
            faults.append(f"{where} is damaged")
            continue
        said = {str(k).strip(): str(v).strip() for k, v in line.items() if v not in (None, "")}
        pictures = {key: path.parent / said[n] for key, n in PICTURES.items() if n in said}
        captions = {key: said[f"caption_{key}"] for key in PICTURES if f"caption_{key}" in said}
        id = _safe(said.get("id", f"{number:05d}"))
        rows.append(_Row(where, id, pictures, said.get("instruction", ""), captions))
    return rows, faults


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.casefold() == ".csv":
                reader = csv.DictReader(file)
                yield from ((reader.line_num, row) for row in reader)
                return
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _json(line)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DiffinvError(f"The manifest {str(path)!r} cannot be read: {error}.") from error


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _of_folder(path: Path, count: int | None, seed: int) -> tuple[list[_Row], list[str]]:
    if (path / "seeds.json").is_file():
        return _of_instruct_pix2pix(path, count or 300, seed), []
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    rows = [row for folder in [path, *folders] for row in _of_visii(folder)]
    return rows or [_of_one_folder(folder) for folder in folders], []


def _of_one_folder(folder: Path) -> _Row:
    """``A``, ``A_prime``, ``B``, ``B_prime`` and ``instruction.txt`` in a folder of their own."""
    found = {key: _picture(folder, name) for key, name in PICTURES.items()}
    text = folder / "instruction.txt"
    said = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
    pictures = {key: path for key, path in found.items() if path}
    return _Row(f"the folder {folder.name!r}", _safe(folder.name), pictures, said)


def _of_visii(folder: Path) -> list[_Row]:
    """VISII's folders: ``0_0`` and ``0_1`` are A and A', ``N_0`` and ``N_1`` a B and its B'."""
    a, a_prime = _picture(folder, "0_0"), _picture(folder, "0_1")
    if not a or not a_prime:
        return []
    rows, number = [], 1
    while b := _picture(folder, f"{number}_0"):
        pictures = {"a": a, "a_prime": a_prime, "b": b}
        if truth := _picture(folder, f"{number}_1"):
            pictures["b_prime"] = truth
        id = _safe(f"{folder.name}-{number}")
        rows.append(_Row(f"the folder {folder.name!r}", id, pictures))
        number += 1
    return rows


def _of_instruct_pix2pix(path: Path, count: int, seed: int) -> list[_Row]:
    """A and A' from one folder of InstructPix2Pix's data, B from another one with the same
    instruction; drawn without replacement of A's folder."""
    seeds = _seeds(path / "seeds.json")
    prompts = {name: _prompt(path / name) for name in sorted(seeds)}
    same: dict[str, list[str]] = {}
    for name, prompt in prompts.items():
        if prompt.get("edit") and seeds[name]:
            same.setdefault(prompt["edit"], []).append(name)
    rng = np.random.default_rng(seed)
    firsts = sorted(name for names in same.values() if len(names) > 1 for name in names)
    rows = []
    for name in (firsts[int(i)] for i in rng.permutation(len(firsts))[:count]):
        prompt = prompts[name]
        others = [other for other in same[prompt["edit"]] if other != name]
        other = others[int(rng.integers(len(others)))]
        first, second = (seeds[n][int(rng.integers(len(seeds[n])))] for n in (name, other))
        pictures = {
            "a": path / name / f"{first}_0.jpg",
            "a_prime": path / name / f"{first}_1.jpg",
            "b": path / other / f"{second}_0.jpg",
            "b_prime": path / other / f"{second}_1.jpg",
        }
        texts = prompt.get("input"), prompt.get("output"), *map(prompts[other].get, _INPUTS)
        captions = {key: text for key, text in zip(PICTURES, texts, strict=True) if text}
        id = _safe(f"{name}-{first}-{other}-{second}")
        rows.append(_Row(f"the folder {name!r}", id, pictures, prompt["edit"], captions))
    return rows


_INPUTS = ("input", "output")


def _seeds(path: Path) -> dict[str, list[str]]:
    """The seeds of the pictures in each folder."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): [str(seed) for seed in seeds] for name, seeds in rows}
    except (OSError, ValueError, TypeError) as error:
        raise DiffinvError(f"{str(path)!r} is no list of folders with seeds: {error}.") from error


def _prompt(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _picture(folder: Path, name: str) -> Path | None:
    places = (folder / f"{name}{suffix}" for suffix in _SUFFIXES)
    return next((place for place in places if place.is_file()), None)


def _safe(id: str) -> str:
    """An id that is a file's name everywhere."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in id)[:120].lstrip(".") or "row"
