"""A comparison in a folder: every method's picture for every triplet, kept as it is made.

``pictures/METHOD/TRIPLET.png`` are the answers and ``answers.jsonl`` says what each cost, or why
there is none. What is already there is not made again, so an interrupted run goes on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..system.files import atomic_write
from .answering import Answer, Column, Task

if TYPE_CHECKING:
    from ..engines import Engine, Work
    from .data import Dataset

OnAnswer = Callable[[str, int, int], None]


class Run:
    """One comparison and its folder."""

    def __init__(
        self, folder: Path, data: Dataset, columns: Sequence[Column], seed: int, batch: int = 1
    ) -> None:
        self.folder, self.data, self.columns, self.seed = folder, data, list(columns), seed
        self._batch = batch
        self._log = folder / "answers.jsonl"
        self.answers = {(a.column, a.triplet): a for a in read_answers(self._log)}

    def picture_of(self, column: str, triplet: str) -> Path:
        """Where an answer is, or will be."""
        return self.folder / "pictures" / column / f"{triplet}.png"

    def make(self, engine: Engine, answerer: Callable[[], Work], on_answer: OnAnswer) -> None:
        """Make every answer that is not there. A method that cannot be loaded has a reason for each
        of its answers."""
        tasks = [task for column in range(len(self.columns)) for task in self._left(column)]
        total = len(self.data.entries)
        left = Counter({column: 0 for column, _ in tasks})
        for column, rows in tasks:
            left[column] += len(rows)
        if not tasks:
            return
        with engine.started(answerer) as pool:
            for place, found in pool.run(tasks):
                for answer, picture in found:
                    self._keep(answer, picture)
                column, rows = tasks[place]
                left[column] -= len(rows)
                on_answer(self.columns[column].name, total - left[column], total)

    def _left(self, column: int) -> Iterator[Task]:
        """What is to be made of a column. Triplets that go together always do: a batch of which
        something is missing is made again as it was, unless it failed together: then each was tried
        alone, and is again."""
        batch = self._batch if self.columns[column].spec.many else 1
        rows = range(len(self.data.entries))
        for part in (tuple(rows[i : i + batch]) for i in range(0, len(rows), batch)):
            missing = [row for row in part if not self._has(column, row)]
            if any(self._failed(column, row) for row in part):
                yield from ((column, (row,)) for row in missing)
            elif missing:
                yield column, part

    def _failed(self, column: int, entry: int) -> bool:
        key = self.columns[column].name, self.data.entries[entry].id
        known = self.answers.get(key)
        return bool(known and known.error)

    def _has(self, column: int, entry: int) -> bool:
        name, triplet = self.columns[column].name, self.data.entries[entry].id
        known = self.answers.get((name, triplet))
        return bool(known and not known.error and self.picture_of(name, triplet).is_file())

    def _keep(self, answer: Answer, picture: bytes | None) -> None:
        """The picture first: a line in the log says that it is there. A failure takes nothing away
        that was made before."""
        known = self.answers.get((answer.column, answer.triplet))
        there = self.picture_of(answer.column, answer.triplet).is_file()
        if answer.error and known and not known.error and there:
            return
        if picture is not None:
            atomic_write(self.picture_of(answer.column, answer.triplet), picture)
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
