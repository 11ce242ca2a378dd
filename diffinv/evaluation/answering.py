"""Answers to triplets, on whatever machine: a column's method at work on one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ..contracts import ManyAtOnce, Method, MethodSpec, Triplet
from ..errors import DiffinvError, UsageError
from ..plugins.checking import describe
from ..plugins.loading import registry
from ..running.models import deterministic
from ..running.parts import parse_part
from .bench import ModelBench

if TYPE_CHECKING:
    from PIL.Image import Image

    from .data import Dataset, Entry


@dataclass(frozen=True)
class Column:
    """One method with its settings, under the name it has in tables and folders. ``backbone`` is
    its own text-to-image model, None that of the comparison."""

    name: str
    method: str
    weights: str | None
    settings: Mapping[str, Any]
    backbone: str | None = None

    @property
    def spec(self) -> MethodSpec:
        """What is known of the method."""
        return registry().get("method", self.method)


@dataclass(frozen=True)
class Answer:
    """What became of one triplet: seconds, rows the denoisers computed, and the reason if there is
    no picture. ``peak_gb`` is the most memory that was taken on a GPU."""

    column: str
    triplet: str
    seconds: float
    evaluations: int
    error: str | None = None
    peak_gb: float | None = None


def columns_of(
    methods: Sequence[str], changes: Sequence[str], tuned: Mapping[str, Mapping[str, Any]]
) -> list[Column]:
    """Columns for ``ID[=PATH]``, with ``METHOD.NAME=VALUE`` over what is tuned for the data."""
    found = []
    for text in methods:
        id, weights = parse_part(text)
        registry().get("method", id)
        found.append(Column(id, id, weights, dict(tuned.get(id, {}))))
    by_name = {column.name: column for column in found}
    for change in changes:
        target, dot, rest = change.partition(".")
        name, equals, value = rest.partition("=")
        if target not in by_name or not dot or not equals:
            raise UsageError(
                f"--set {change}: write METHOD.NAME=VALUE with one of {', '.join(by_name)}."
            )
        column = by_name[target]
        settings = dict(column.settings) | {name: setting(column.spec, name, value)}
        by_name[target] = Column(column.name, column.method, column.weights, settings)
    return list(by_name.values())


def setting(spec: MethodSpec, name: str, text: str) -> Any:
    """A setting of a method from its text, in the type of its default."""
    if name not in spec.settings:
        known = ", ".join(spec.settings) or "none"
        raise UsageError(f"The method {spec.id!r} has no setting {name!r}; it has: {known}.")
    present = spec.settings[name]
    try:
        if isinstance(present, bool):
            return {"true": True, "false": False}[text.casefold()]
        return type(present)(text)
    except (KeyError, ValueError):
        raise UsageError(
            f"--set {spec.id}.{name}={text}: expected a {type(present).__name__}, as in "
            f"{name}={present}."
        ) from None


Task = tuple[int, tuple[int, ...]]
"""The place of a column, and those of the triplets that go together."""


class Answerer:
    """Answers a task with an :class:`Answer` for each triplet and the picture as PNG, None if there
    is none. Methods are loaded at once, so that what is wrong with one is
    known before hours of work; models when they are first needed. They stay."""

    def __init__(
        self,
        data: Callable[[], Dataset],
        columns: Sequence[Column],
        seed: int,
        backbone: str | None,
        device: str | None,
        captioner: str | None = None,
    ) -> None:
        self._data, self._columns, self._seed = data(), columns, seed
        self._backbone, self._device, self._captioner = backbone, device, captioner
        self._benches: dict[str | None, ModelBench] = {}
        self._methods = [_loaded(column, self._bench(column)) for column in columns]

    def __call__(self, task: Task) -> list[tuple[Answer, bytes | None]]:
        """Whatever goes wrong is the answer's reason, not the run's end. If several go wrong
        together, each is tried alone."""
        place, rows = task
        entries = [self._data.entries[row] for row in rows]
        method = self._methods[place]
        if len(entries) > 1 and isinstance(method, ManyAtOnce):
            with suppress(Exception):
                return self._together(place, method, entries)
        return [self._alone(place, entry) for entry in entries]

    def _together(
        self, place: int, method: ManyAtOnce, entries: Sequence[Entry]
    ) -> list[tuple[Answer, bytes | None]]:
        """Each answer's cost is its share."""
        column = self._columns[place]
        bench, triplets = self._bench(column), [entry.open() for entry in entries]
        if any(lacks(column.spec, triplet) for triplet in triplets):
            raise DiffinvError("a triplet lacks something")
        cost = _Cost(bench)
        with deterministic(self._seed, bench.device):
            images = method.complete_many(triplets, self._seed)
        share = cost.so_far(len(entries))
        return [
            (Answer(column.name, entry.id, **share), _png(image.convert("RGB")))
            for entry, image in zip(entries, images, strict=True)
        ]

    def _alone(self, place: int, entry: Entry) -> tuple[Answer, bytes | None]:
        column, method = self._columns[place], self._methods[place]
        bench = self._bench(column)
        image, error = None, method if isinstance(method, str) else None
        cost = _Cost(bench)
        if not isinstance(method, str):
            try:
                image = self._complete(column, method, entry.open(), bench)
            except Exception as fault:
                error = describe(fault)
        answer = Answer(column.name, entry.id, error=error, **cost.so_far())
        return answer, None if image is None else _png(image)

    def _bench(self, column: Column) -> ModelBench:
        id = column.backbone or self._backbone
        if id not in self._benches:
            self._benches[id] = ModelBench(id, self._device, captioner=self._captioner)
        return self._benches[id]

    def _complete(
        self, column: Column, method: Method, triplet: Triplet, bench: ModelBench
    ) -> Image:
        if lacking := lacks(column.spec, triplet):
            raise DiffinvError(f"the triplet has no {lacking}")
        with deterministic(self._seed, bench.device):
            return method.complete(triplet, self._seed).convert("RGB")


class _Cost:
    """What an answer costs, from now on."""

    def __init__(self, bench: ModelBench) -> None:
        import torch

        self._bench, self._before = bench, bench.evaluations
        self._on_gpu = torch.cuda.is_available()
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        self._began = time.perf_counter()

    def so_far(self, count: int = 1) -> dict[str, Any]:
        """Of each of ``count`` answers that were made together; the memory they took together."""
        import torch

        seconds = round((time.perf_counter() - self._began) / count, 3)
        evaluations = round((self._bench.evaluations - self._before) / count)
        found = {"seconds": seconds, "evaluations": evaluations}
        if self._on_gpu:
            found["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 3)
        return found


def lacks(spec: MethodSpec, triplet: Triplet) -> str | None:
    """What a method needs and a triplet has not."""
    for need in spec.needs:
        name, _, part = need.partition(".")
        value = getattr(triplet, name, None)
        if not (value.get(part) if part and value else value):
            return need
    return None


def _loaded(column: Column, bench: ModelBench) -> Method | str:
    """A column's method, or why there is none."""
    try:
        method: Method = registry().create_method(
            column.spec, column.weights, bench, column.settings
        )
        return method
    except UsageError:
        raise
    except DiffinvError as error:
        return describe(error)


def _png(image: Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
