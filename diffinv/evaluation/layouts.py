"""Where triplets lie: manifests, and folders in known layouts, as rows with paths of pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DiffinvError
from ..system.remote import is_address, local_copy

PICTURES = {"a": "A", "a_prime": "A_prime", "b": "B", "b_prime": "B_prime"}
"""The columns of a manifest, and the names of pictures in a folder; ``B_prime`` may be missing."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Row:
    """A triplet as it was found: ``where`` says the line or the folder; pictures are paths, or the
    contents of files. ``addresses`` are those of pictures that were fetched."""

    where: str
    id: str
    pictures: Mapping[str, Path | bytes]
    instruction: str = ""
    captions: Mapping[str, str] | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)


def of_manifest(path: Path) -> tuple[list[Row], list[str]]:
    """The rows of a .csv or .jsonl, and what is wrong with damaged ones, by line."""
    rows: list[Row] = []
    faults: list[str] = []
    for number, line in _lines(path):
        where = f"line {number}"
        if not isinstance(line, dict):
            faults.append(f"{where} is damaged")
            continue
        try:
            rows.append(row_of(where, number, line, path.parent))
        except DiffinvError as error:
            faults.append(f"{where} {error}")
    return rows, faults


def row_of(where: str, number: int, line: Mapping[Any, Any], folder: Path) -> Row:
    """A row from the columns of a manifest, whose paths are relative to its folder. Raises
    DiffinvError, worded to follow the row's place, if an address of a picture leads nowhere."""
    said = {str(k).strip(): str(v).strip() for k, v in line.items() if v not in (None, "")}
    named = {key: said[name] for key, name in PICTURES.items() if name in said}
    addresses = {key: text for key, text in named.items() if is_address(text)}
    pictures: dict[str, Path | bytes] = {
        key: local_copy(text) if key in addresses else folder / text for key, text in named.items()
    }
    captions = {key: said[f"caption_{key}"] for key in PICTURES if f"caption_{key}" in said}
    id = safe_id(said.get("id", f"{number:05d}"))
    return Row(where, id, pictures, said.get("instruction", ""), captions, addresses)


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


def of_folder(path: Path, count: int | None, seed: int) -> tuple[list[Row], list[str]]:
    """InstructPix2Pix's data, VISII's folders, or one folder a triplet."""
    if (path / "seeds.json").is_file():
        return _of_instruct_pix2pix(path, count or 300, seed), []
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    rows = [row for folder in [path, *folders] for row in _of_visii(folder)]
    return rows or [_of_one_folder(folder) for folder in folders], []


def _of_one_folder(folder: Path) -> Row:
    """``A``, ``A_prime``, ``B``, ``B_prime`` and ``instruction.txt`` in a folder of their own."""
    found = {key: _picture(folder, name) for key, name in PICTURES.items()}
    text = folder / "instruction.txt"
    said = text.read_text(encoding="utf-8").strip() if text.is_file() else ""
    pictures = {key: path for key, path in found.items() if path}
    return Row(f"the folder {folder.name!r}", safe_id(folder.name), pictures, said)


def _of_visii(folder: Path) -> list[Row]:
    """VISII's folders: ``0_0`` and ``0_1`` are A and A', ``N_0`` and ``N_1`` a B and its B'."""
    a, a_prime = _picture(folder, "0_0"), _picture(folder, "0_1")
    if not a or not a_prime:
        return []
    rows, number = [], 1
    while b := _picture(folder, f"{number}_0"):
        pictures = {"a": a, "a_prime": a_prime, "b": b}
        if truth := _picture(folder, f"{number}_1"):
            pictures["b_prime"] = truth
        id = safe_id(f"{folder.name}-{number}")
        rows.append(Row(f"the folder {folder.name!r}", id, pictures))
        number += 1
    return rows


def _of_instruct_pix2pix(path: Path, count: int, seed: int) -> list[Row]:
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
        id = safe_id(f"{name}-{first}-{other}-{second}")
        rows.append(Row(f"the folder {name!r}", id, pictures, prompt["edit"], captions))
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


def safe_id(id: str) -> str:
    """An id that is a file's name everywhere."""
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in id)[:120].lstrip(".") or "row"
