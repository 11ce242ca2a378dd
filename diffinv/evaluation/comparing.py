"""One comparison from its first picture to its tables, and once more from its lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..contracts import BackboneSpec
from ..engines import Engine
from ..errors import DiffinvError, UsageError
from ..plugins.loading import registry
from ..running.parts import backbone_part, named_part, parse_part
from ..system.files import atomic_write, make_folder
from .answering import Answerer, Column
from .bench import ModelBench
from .data import Dataset, open_data
from .logs import log_run
from .report import page_of
from .runs import Run
from .scoring import LPIPS, score_run
from .tables import Table, as_csv, table_of

if TYPE_CHECKING:
    from ..engines import Work
    from .runs import OnAnswer

LOCK = "lock.json"


@dataclass(frozen=True)
class Comparison:
    """What a comparison is about: everything that decides its pictures and its numbers."""

    data: str
    count: int | None
    seed: int
    columns: tuple[Column, ...]
    backbone: str | None = None
    encoders: tuple[str, ...] = ()
    device: str | None = None
    lpips: bool = False
    captioner: str | None = None
    batch: int = 1
    """So many triplets go together, where a method can."""
    sources: Mapping[str, Any] | None = None
    """The pictures of a lock, with their hashes: those of a repetition must be the same."""

    @classmethod
    def locked(cls, path: Path) -> Comparison:
        """From a lock file. Raises DiffinvError if it is damaged."""
        try:
            lock = json.loads(path.read_text(encoding="utf-8"))
            found, sources = lock["comparison"], lock["sources"]
            columns = tuple(Column(**column) for column in found.pop("columns"))
            encoders = tuple(found.pop("encoders"))
            batch = found.get("batch", 1)
            if type(batch) is not int or batch < 1:
                raise ValueError(f"its batch is {batch!r}")
            return cls(columns=columns, encoders=encoders, sources=sources, **found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DiffinvError(f"{str(path)!r} is no lock of a comparison: {error}.") from error


def tuned_for(data: str) -> Mapping[str, Mapping[str, Any]]:
    """The settings that are tuned for the data, where it is a world."""
    spec = registry().worlds.get(data.partition(":")[0])
    return spec.tuned if spec and not Path(data).exists() else {}


def default_methods(backbone: str | None) -> list[str]:
    """Every installed method that needs no checkpoint of its own, or whose backbone brings it."""
    brought = cast(BackboneSpec, backbone_part(registry(), backbone).spec).companions
    methods = registry().methods.items()
    return [id for id, spec in methods if not spec.network or spec.companion in brought]


def compare(
    wanted: Comparison,
    folder: Path,
    title: str,
    engine: Engine,
    logs: Sequence[str],
    on_answer: OnAnswer,
    on_fault: Callable[[str], None],
) -> Table:
    """Make what is missing of a comparison's folder: pictures, then ``table.json``, ``table.csv``
    and ``report.html``, and what goes to ``logs``. Raises UsageError if the folder holds another
    comparison."""
    if wanted.captioner:
        named_part(registry(), "captioner", wanted.captioner)
    data = open_data(wanted.data, wanted.count, wanted.seed)
    for fault in data.faults:
        on_fault(fault)
    make_folder(folder)
    _lock(wanted, data, folder / LOCK)
    lpips = LPIPS() if wanted.lpips else None
    run = Run(folder, data, wanted.columns, wanted.seed, wanted.batch)
    run.make(engine, _answerer(wanted, data), on_answer)
    errors: dict[str, dict[str, str]] = {}
    for answer in run.answers.values():
        if answer.error:
            errors.setdefault(answer.column, {})[answer.triplet] = answer.error
    table = table_of(score_run(run, _encoders(wanted), lpips), errors)
    atomic_write(folder / "table.json", json.dumps(table, indent=1).encode())
    atomic_write(folder / "table.csv", as_csv(table).encode())
    atomic_write(folder / "report.html", page_of(run, table, title).encode())
    for log in logs:
        log_run(log, run, table, title)
    return table


def open_run(folder: Path) -> Run:
    """A comparison that was made in a folder. Raises DiffinvError if there is none, or if its data
    have changed."""
    wanted = Comparison.locked(folder / LOCK)
    data = open_data(wanted.data, wanted.count, wanted.seed)
    _lock(wanted, data, folder / LOCK)
    return Run(folder, data, wanted.columns, wanted.seed, wanted.batch)


def contestants(run: Run) -> list[str]:
    """The columns that people and models choose between: those that did not see the truth."""
    columns = [c.name for c in run.columns if c.method != "copy-b" and not _sees_truth(c)]
    if len(columns) < 2:
        raise UsageError(
            f"{str(run.folder)!r} has answers of {len(columns)} methods that could be compared."
        )
    return columns


def _sees_truth(column: Column) -> bool:
    return any(need.endswith("b_prime") for need in column.spec.needs)


def _answerer(wanted: Comparison, data: Dataset) -> Callable[[], Work]:
    """What makes an answerer, on whatever machine: it opens the data there."""
    what = wanted.data if data.spec else str(Path(wanted.data).absolute())
    opened = partial(open_data, what, wanted.count, wanted.seed)
    models = wanted.backbone, wanted.device, wanted.captioner
    return partial(Answerer, opened, wanted.columns, wanted.seed, *models)


def _lock(wanted: Comparison, data: Dataset, path: Path) -> None:
    """Write the lock, or refuse to mix two comparisons in one folder."""
    sources = {entry.id: dict(entry.source) for entry in data.entries if entry.source}
    if wanted.sources is not None and dict(wanted.sources) != json.loads(json.dumps(sources)):
        known = wanted.sources
        id = next((i for i in known if known[i] != sources.get(i)), "a new one")
        raise UsageError(f"The pictures are not those of the lock: the triplet {id!r} differs.")
    about = {k: v for k, v in asdict(wanted).items() if k != "sources"}
    lock: dict[str, Any] = {
        "comparison": about,
        "sources": sources,
        "versions": {name: metadata.version(name) for name in ("diffinv", "torch", "diffusers")},
    }
    lock = json.loads(json.dumps(lock))
    if not path.is_file():
        atomic_write(path, json.dumps(lock, indent=1).encode())
    elif differing := _first_difference(path, lock):
        raise UsageError(
            f"{str(path.parent)!r} holds another comparison ({differing}); choose another --out."
        )


def _first_difference(path: Path, lock: Mapping[str, Any]) -> str:
    """In what a lock differs from one on disk; nothing if it does not. What a lock of an earlier
    version does not say is as it was by default."""
    try:
        known = Comparison.locked(path)
    except DiffinvError:
        return "its lock is damaged"
    was, now = json.loads(json.dumps(asdict(known))), lock["comparison"]
    keys = [key for key in now if was[key] != now[key]]
    return f"its {keys[0]} differs" if keys else "its data" * (was["sources"] != lock["sources"])


def _encoders(wanted: Comparison) -> dict[str, Any]:
    """The encoders that score directions: those named, else the backbone's own."""
    bench = ModelBench(wanted.backbone, wanted.device)
    if not wanted.encoders:
        return {bench.delta_encoder.id: bench.delta_encoder}
    found = {}
    for text in wanted.encoders:
        id, weights = parse_part(text)
        spec = registry().get("delta encoder", id)
        found[id] = registry().create(spec, weights, bench.device)
    return found
