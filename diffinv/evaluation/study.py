"""A user study (Table 2): one page of HTML to send to people, and a key to read their answers by.

The page says nothing about methods: options have random names, and only the key knows which is
whose. Each person sees the questions and the options in an order of their own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment

from ..contracts import Triplet
from ..errors import DiffinvError, UsageError
from ..pictures.reading import open_image
from ..system.files import atomic_write
from .report import data_uri

if TYPE_CHECKING:
    from .runs import Run

_SIDE = 256
_PAGE = "study_page.html"


@dataclass(frozen=True)
class Key:
    """What the page does not say. ``options`` maps each question's options to columns of the run;
    ``checks`` maps attention checks to their only right option."""

    study: str
    columns: tuple[str, ...]
    triplets: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]]
    checks: Mapping[str, str]


@dataclass(frozen=True)
class _Question:
    """One analogy as the page has it: data URIs of A, A', B, and of each named option."""

    id: str
    a: str
    a_prime: str
    b: str
    options: Mapping[str, str]


def make_study(
    run: Run, columns: Sequence[str], questions: int, checks: int, seed: int
) -> tuple[str, Key]:
    """The page and its key: at most ``questions`` triplets, drawn by ``seed``, for which every
    column has an answer, and ``checks`` attention checks, A : A' :: A : ?, one of whose options is
    A' itself. Raises UsageError if there are too few answers."""
    usable = [e for e in run.data.entries if all(_has(run, c, e.id) for c in columns)]
    if not usable:
        raise UsageError(f"There is no triplet for which all of {', '.join(columns)} have answers.")
    rng = random.Random(seed)
    drawn = rng.sample(usable, min(questions, len(usable)))
    asked = [_asked(rng, entry.open(), _answers(run, columns, entry.id)) for entry in drawn]
    options = {q.id: whose for q, whose in asked}
    shown = [question for question, _ in asked]
    right = {}
    for _ in range(checks if len(usable) > 1 else 0):
        question, whose = _check(rng, rng.sample(usable, min(3, len(usable))))
        shown.append(question)
        right[question.id] = next(name for name, what in whose.items() if what == "A′")
    triplets = {q.id: e.id for q, e in zip(shown, drawn, strict=False)}
    study = f"{rng.getrandbits(64):016x}"
    page = Environment(autoescape=True).from_string(_template())
    data = json.dumps([asdict(q) for q in shown]).replace("<", "\\u003c")
    return page.render(study=study, data=data), Key(study, tuple(columns), triplets, options, right)


def _has(run: Run, column: str, triplet: str) -> bool:
    answer = run.answers.get((column, triplet))
    return bool(answer and not answer.error and run.picture_of(column, triplet).is_file())


def _answers(run: Run, columns: Sequence[str], triplet: str) -> dict[str, str]:
    return {c: data_uri(open_image(run.picture_of(c, triplet)), _SIDE) for c in columns}


def _asked(
    rng: random.Random, triplet: Triplet, answers: Mapping[str, str]
) -> tuple[_Question, dict[str, str]]:
    """A question, and whose each of its options is."""
    names = {name: f"{rng.getrandbits(48):012x}" for name in answers}
    ordered = sorted(names, key=names.__getitem__)
    a, a_prime, b = (data_uri(x, _SIDE) for x in (triplet.a, triplet.a_prime, triplet.b))
    id = f"{rng.getrandbits(48):012x}"
    options = {names[name]: answers[name] for name in ordered}
    return _Question(id, a, a_prime, b, options), {names[name]: name for name in ordered}


def _check(rng: random.Random, entries: Sequence[Any]) -> tuple[_Question, dict[str, str]]:
    first = entries[0].open()
    wrong = [data_uri(entry.open().b, _SIDE) for entry in entries]
    options = {"A′": data_uri(first.a_prime, _SIDE)}
    options |= {f"wrong {i}": uri for i, uri in enumerate(wrong)}
    return _asked(rng, replace(first, b=first.a), options)


def _template() -> str:
    return resources.files(__package__).joinpath(_PAGE).read_text(encoding="utf-8")


def write_key(key: Key, path: Path) -> None:
    """Keep a key as JSON."""
    atomic_write(path, json.dumps(asdict(key), indent=1).encode())


def read_key(path: Path) -> Key:
    """A key from its file. Raises DiffinvError if it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Key(**found | {"columns": tuple(found["columns"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DiffinvError(f"{str(path)!r} is no key of a study: {error}.") from error
