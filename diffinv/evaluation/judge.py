"""A vision-language model as a judge (Table 3): two answers, which one completes the analogy?

Each pair of answers is shown in both orders, since models favour a place. What a judge said is kept
in the run's folder line by line, so that no question is paid for twice.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..contracts import Conversant, Triplet
from ..errors import DiffinvError, UsageError
from ..pictures.reading import open_image
from ..plugins.loading import registry
from ..running.parts import parse_part
from ..system.files import make_folder
from .statistics import Estimate, bootstrap

if TYPE_CHECKING:
    from PIL.Image import Image

    from .runs import Run

Verdict = Literal["ours", "rival", "tie", "refusal"]
OnVerdict = Callable[[int, int], None]

_TASK = (
    "Picture A was changed, and the result is A′. Picture B is to be changed in the same way, with "
    "everything else of B left as it is. You will see two attempts at this."
)
_QUESTION = (
    "Which attempt shows B changed as A was changed to A′, and keeps the rest of B? Answer with "
    "the number alone: 1 or 2, or 0 if neither is better."
)
_PICTURES, _TEXT_TOKENS, _ANSWER_TOKENS, _IMAGE_TOKENS = 5, 140, 4, 255
"""What a question holds, for an estimate of its cost; a picture of up to 512 pixels is 255 tokens
to GPT-4o, and of that order to others."""

_GIVE_UP_AFTER = 5
"""After so many questions in a row without an answer, the judge is not asked any further."""


@dataclass(frozen=True)
class Preset:
    """One of the paper's judges: how it is reached, and dollars per million tokens where they are
    known (read, written)."""

    model: str
    address: str | None = None
    prices: tuple[float, float] | None = None


PRESETS: Mapping[str, Preset] = {
    "gpt-4o": Preset("gpt-4o-2024-08-06", "https://api.openai.com/v1", (2.5, 10.0)),
    "qwen2-vl-72b": Preset("Qwen/Qwen2-VL-72B-Instruct"),
    "llama-3.2-90b": Preset("meta-llama/Llama-3.2-90B-Vision-Instruct"),
}


@dataclass(frozen=True)
class Ballot:
    """One question, and what became of it: ``reply`` in the judge's own words."""

    question: str
    triplet: str
    rival: str
    ours_first: bool
    reply: str
    verdict: Verdict


@dataclass(frozen=True)
class Score:
    """A row of Table 3. ``wins`` is ours' share of the votes, a tie half a vote; ``agrees`` the
    share of triplets on which both orders give the same; refusals count in neither."""

    wins: Estimate
    agrees: float
    ties: int
    refusals: int
    asked: int


def judge_of(text: str, device: str) -> tuple[Conversant, str, Preset | None]:
    """The judge, its name, and its preset if it is one. ``gpt-4o``; another preset with its server,
    ``qwen2-vl-72b=http://HOST/v1``; or a captioner that can be asked, ``endpoint=URL#MODEL``,
    ``vlm=PATH``. Raises UsageError if it cannot be asked."""
    id, weights = parse_part(text)
    preset = PRESETS.get(id)
    if preset:
        address = weights or preset.address
        if address is None:
            raise UsageError(f"Say which server runs {id}: --judge {id}=http://HOST:PORT/v1.")
        id, weights = "endpoint", f"{address}#{preset.model}"
    captioner = registry().create(registry().get("captioner", id), weights, device)
    if not isinstance(captioner, Conversant):
        raise UsageError(f"The captioner {id!r} describes pictures and answers no questions.")
    return captioner, preset.model if preset else text, preset


class Jury:
    """The questions to one judge about one run."""

    def __init__(self, run: Run, judge: str, ours: str, rivals: Sequence[str]) -> None:
        self._run, self._ours, self._rivals = run, ours, list(rivals)
        self._log = run.folder / "judges" / f"{_file_name(judge)}.jsonl"
        self._known = {b.question: b for b in _read(self._log)}

    def questions(self) -> list[tuple[str, str, bool]]:
        """(triplet, rival, ours first) for every pair of answers, both orders."""
        return [
            (entry.id, rival, first)
            for rival in self._rivals
            for entry in self._run.data.entries
            if self._has(self._ours, entry.id) and self._has(rival, entry.id)
            for first in (True, False)
        ]

    def open_questions(self) -> list[tuple[str, str, bool]]:
        """Those that have no answer yet."""
        return [q for q in self.questions() if self._key(*q) not in self._known]

    def ask(self, judge: Conversant, on_verdict: OnVerdict) -> list[str]:
        """Put the open questions to the judge; the reasons of those that got no answer. They are
        asked again next time. Stops after several in a row."""
        faults: list[str] = []
        in_a_row = 0
        wanted = self.open_questions()
        for number, question in enumerate(wanted, 1):
            try:
                self._keep(question, judge.ask(self._content(*question)))
                in_a_row = 0
            except DiffinvError as error:
                faults.append(str(error))
                in_a_row += 1
                if in_a_row == _GIVE_UP_AFTER:
                    break
            on_verdict(number, len(wanted))
        return faults

    def scores(self) -> dict[str, Score]:
        """Table 3's row for each rival that was judged."""
        found: dict[str, list[Ballot]] = {}
        for question in self.questions():
            if ballot := self._known.get(self._key(*question)):
                found.setdefault(ballot.rival, []).append(ballot)
        return {rival: _score(ballots) for rival, ballots in found.items()}

    def _has(self, column: str, triplet: str) -> bool:
        answer = self._run.answers.get((column, triplet))
        place = self._run.picture_of(column, triplet)
        return bool(answer and not answer.error and place.is_file())

    def _key(self, triplet: str, rival: str, ours_first: bool) -> str:
        """What an answer holds for: these words and these very pictures."""
        digest = hashlib.sha256(f"{_TASK}{_QUESTION}{triplet}{ours_first}".encode())
        for column in (self._ours, rival):
            digest.update(self._run.picture_of(column, triplet).read_bytes())
        return digest.hexdigest()[:24]

    def _content(self, triplet: str, rival: str, ours_first: bool) -> list[str | Image]:
        entry = next(e for e in self._run.data.entries if e.id == triplet)
        columns = (self._ours, rival) if ours_first else (rival, self._ours)
        attempts = [open_image(self._run.picture_of(column, triplet)) for column in columns]
        return question_of(entry.open(), attempts)

    def _keep(self, question: tuple[str, str, bool], reply: str) -> None:
        triplet, rival, ours_first = question
        verdict = verdict_of(reply, ours_first)
        ballot = Ballot(self._key(*question), triplet, rival, ours_first, reply[:500], verdict)
        self._known[ballot.question] = ballot
        make_folder(self._log.parent)
        torn = self._log.is_file() and not self._log.read_bytes().endswith(b"\n")
        with self._log.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(asdict(ballot)) + "\n")


def question_of(triplet: Triplet, attempts: Sequence[Image]) -> list[str | Image]:
    """What a judge is shown and asked."""
    first, second = attempts
    return [
        *(_TASK, "A:", triplet.a, "A′:", triplet.a_prime, "B:", triplet.b),
        *("Attempt 1:", first, "Attempt 2:", second, _QUESTION),
    ]


def verdict_of(reply: str, ours_first: bool) -> Verdict:
    """What a reply means. The last line counts if it is a number alone, as models write that think
    aloud; else the only number there is."""
    lines = [line for line in reply.splitlines() if line.strip()]
    alone = re.fullmatch(r"\W*(?:attempt|answer)?\W*([012])\W*", lines[-1], re.I) if lines else None
    numbers = {alone[1]} if alone else set(re.findall(r"(?<![\d.])([012])(?![\d.]*\d)", reply))
    if len(numbers) != 1:
        return "refusal"
    number = numbers.pop()
    if number == "0":
        return "tie"
    return "ours" if (number == "1") == ours_first else "rival"


def cost_of(questions: int, prices: tuple[float, float] | None) -> str:
    """What so many questions cost, in words."""
    read = questions * (_PICTURES * _IMAGE_TOKENS + _TEXT_TOKENS)
    written = questions * _ANSWER_TOKENS
    about = f"{questions} questions of {_PICTURES} pictures, about {read:,} tokens"
    if prices is None:
        return about
    return f"{about}, {(read * prices[0] + written * prices[1]) / 1e6:.2f} dollars"


_WORTH: Mapping[Verdict, float] = {"ours": 1.0, "rival": 0.0, "tie": 0.5, "refusal": float("nan")}


def _score(ballots: Sequence[Ballot]) -> Score:
    by_triplet: dict[str, list[float]] = {}
    for ballot in ballots:
        if ballot.verdict != "refusal":
            by_triplet.setdefault(ballot.triplet, []).append(_WORTH[ballot.verdict])
    both = [votes for votes in by_triplet.values() if len(votes) == 2]
    verdicts = [ballot.verdict for ballot in ballots]
    return Score(
        wins=bootstrap([sum(votes) / len(votes) for votes in by_triplet.values()]),
        agrees=sum(a == b for a, b in both) / len(both) if both else float("nan"),
        ties=verdicts.count("tie"),
        refusals=verdicts.count("refusal"),
        asked=len(ballots),
    )


def _read(log: Path) -> Iterator[Ballot]:
    """Every whole line of a log."""
    if not log.is_file():
        return
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            ballot = Ballot(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if ballot.verdict in _WORTH:
            yield ballot


def _file_name(judge: str) -> str:
    return (
        "".join(c if c.isalnum() or c in "-_." else "-" for c in judge)[:100].strip(".") or "judge"
    )
