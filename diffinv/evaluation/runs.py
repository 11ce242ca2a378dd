"""A comparison in a folder: every method's picture for every triplet, kept as it is made.

``pictures/METHOD/TRIPLET.png`` are the answers and ``answers.jsonl`` says what each cost, or why
there is none. What is already there is not made again, so an interrupted run goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contracts import Method, MethodSpec, Triplet
from ..errors import DiffinvError, UsageError
from ..plugins.checking import describe
from ..plugins.loading import registry
from ..running.models import deterministic
from ..running.parts import parse_part
from ..system.files import atomic_write

if TYPE_CHECKING:
    from PIL.Image import Image

    from .bench import ModelBench
    from .data import Dataset, Entry

OnAnswer = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Column:
    """One method with its settings, under the name it has in tables and folders."""

    name: str
    method: str
    weights: str | None
    settings: Mapping[str, Any]

    @property
    def spec(self) -> MethodSpec:
        """What is known of the method."""
        return registry().get("method", self.method)


@dataclass(frozen=True)
class Answer:
    """What became of one triplet: seconds, rows the denoisers computed, and the reason if there is
    no picture."""

    column: str
    triplet: str
    seconds: float
    evaluations: int
    error: str | None = None


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


class Run:
    """One comparison and its folder."""

    def __init__(self, folder: Path, data: Dataset, columns: Sequence[Column], seed: int) -> None:
        self.folder, self.data, self.columns, self.seed = folder, data, list(columns), seed
        self._log = folder / "answers.jsonl"
        self.answers = {(a.column, a.triplet): a for a in read_answers(self._log)}

    def picture_of(self, column: str, triplet: str) -> Path:
        """Where an answer is, or will be."""
        return self.folder / "pictures" / column / f"{triplet}.png"

    def make(self, bench: ModelBench, on_answer: OnAnswer) -> None:
        """Make every answer that is not there, triplet after triplet. A method that cannot be
        loaded has a reason for each of its answers."""
        methods = {column.name: _loaded(column, bench) for column in self.columns}
        for column in self.columns:
            for done, entry in enumerate(self.data.entries, 1):
                if not self._has(column.name, entry.id):
                    self._keep(*self._answer(column, methods[column.name], entry, bench))
                on_answer(column.name, done, len(self.data.entries))

    def _has(self, column: str, triplet: str) -> bool:
        known = self.answers.get((column, triplet))
        return bool(known and not known.error and self.picture_of(column, triplet).is_file())

    def _answer(
        self,
        column: Column,
        method: Method | str,
        entry: Entry,
        bench: ModelBench,
    ) -> tuple[Answer, Image | None]:
        """A method's answer to a triplet. Whatever goes wrong is its reason, not the run's end."""
        began, before = time.perf_counter(), bench.evaluations
        image, error = None, method if isinstance(method, str) else None
        if not isinstance(method, str):
            try:
                triplet = entry.open()
                if lacking := lacks(column.spec, triplet):
                    raise DiffinvError(f"the triplet has no {lacking}")
                with deterministic(self.seed, bench.device):
                    image = method.complete(triplet, self.seed).convert("RGB")
            except Exception as fault:
                error = describe(fault)
        seconds, rows = time.perf_counter() - began, bench.evaluations - before
        return Answer(column.name, entry.id, round(seconds, 3), rows, error), image

    def _keep(self, answer: Answer, image: Image | None) -> None:
        """The picture first: a line in the log says that it is there."""
        if image is not None:
            buffer = BytesIO()
            image.save(buffer, "PNG")
            atomic_write(self.picture_of(answer.column, answer.triplet), buffer.getvalue())
        self.answers[answer.column, answer.triplet] = answer
        torn = self._log.is_file() and not self._log.read_bytes().endswith(b"\n")
        with self._log.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(asdict(answer)) + "\n")


def read_answers(log: Path) -> Iterator[Answer]:
    """Every whole line of a log; a torn last one, from a crash, is left out."""
    if not log.is_file():
        return
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            yield Answer(**json.loads(line))
        except (ValueError, TypeError):
            continue


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
