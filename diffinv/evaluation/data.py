"""Triplets to compare methods on: from a world, a manifest, or a folder in a known layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ..contracts import Triplet, World
from ..errors import DiffinvError, UsageError
from ..pictures.reading import read_picture
from ..plugins.loading import registry
from ..system.files import sha256_of
from .layouts import PICTURES, Row, of_folder, of_manifest
from .parquet import of_parquet

if TYPE_CHECKING:
    from ..contracts import WorldSpec


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
    """``WORLD[:CASE]``, a manifest (``.csv``, ``.jsonl``, ``.parquet``), or a folder: of Parquet,
    one folder a triplet, VISII's, or InstructPix2Pix's. ``count`` triplets at most, those of
    ``seed``."""
    id, _, case = text.partition(":")
    if id in registry().parts("world") and not Path(text).exists():
        return _world(id, case, count or 40, seed)
    path = Path(text)
    if path.is_dir() and (tables := sorted(path.glob("*.parquet"))):
        rows, faults = of_parquet(tables, count, seed)
    elif path.is_dir():
        rows, faults = of_folder(path, count, seed)
    elif path.suffix.casefold() in (".csv", ".jsonl"):
        rows, faults = of_manifest(path)
    elif path.suffix.casefold() == ".parquet":
        rows, faults = of_parquet([path], count, seed)
    else:
        raise UsageError(
            f"--data {text!r} is neither a world ({', '.join(registry().parts('world'))}), nor a "
            "folder, nor a manifest (.csv, .jsonl, .parquet)."
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


def _entries(rows: Sequence[Row]) -> tuple[list[Entry], list[str]]:
    """The rows whose pictures are there and whose ids are new, and what is wrong with the rest."""
    entries: list[Entry] = []
    faults: list[str] = []
    known: set[str] = set()
    for row in rows:
        paths = [path for path in row.pictures.values() if isinstance(path, Path)]
        missing = [str(path) for path in paths if not path.is_file()]
        lacking = [name for key, name in list(PICTURES.items())[:3] if key not in row.pictures]
        if lacking or missing:
            wrong = f"has no {lacking[0]}" if lacking else f"names {missing[0]!r}, which is missing"
            faults.append(f"{row.where} {wrong}")
        elif row.id in known:
            faults.append(f"{row.where} has the id {row.id!r} of another row")
        else:
            known.add(row.id)
            source = {n: _fingerprint(p, row.addresses.get(n)) for n, p in row.pictures.items()}
            entries.append(Entry(row.id, partial(_read, row), source))
    return entries, faults


def _fingerprint(picture: Path | bytes, address: str | None) -> list[str]:
    """Where a picture is, nothing if it is in a table, and the SHA-256 of its file."""
    if isinstance(picture, bytes):
        return ["", hashlib.sha256(picture).hexdigest()]
    return [address or str(picture), sha256_of(picture)]


def _read(row: Row) -> Triplet:
    images: dict[str, Any] = {n: _open(p, PICTURES[n]) for n, p in row.pictures.items()}
    return Triplet(row.id, **images, instruction=row.instruction, captions=row.captions or {})


def _open(picture: Path | bytes, called: str) -> Image.Image:
    if isinstance(picture, Path):
        return read_picture(picture, called)
    try:
        opened = Image.open(BytesIO(picture))
    except OSError as error:
        raise DiffinvError(f"The picture {called} is damaged: {error}.") from error
    return read_picture(opened, called)


def _same(triplet: Triplet) -> Triplet:
    return triplet
