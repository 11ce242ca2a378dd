"""Words for a difference: the nearest in the joint space, and a prompt of B that agrees with it.

A prompt of B often names what the difference changes: it says "a red barn" where D says blue. The
tokens then work against the prompt's own words. :meth:`Vocabulary.wordings` finds the few words of
the prompt to exchange, so that E_T of the prompt moves along the difference's delta; the tokens add
the share of the delta that the new words do not say. Of the best few prompts that it finds,
:mod:`.choosing` takes the one that the denoiser understands.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import DeltaEncoder
from .answers import text_vectors, words
from .deltas import reads_texts

_STEP = 0.8
"""How far E_T of a prompt should move: the unit vectors of two captions of one picture before and
after a change lie .55 to .75 apart, after two changes .8 to 1.1 (embedded model)."""

_LEAST_GAIN = 0.01
"""What each exchange must add to the cosine with the wanted place; less is a matter of taste."""

_ADDING_COSTS = 0.02
"""So much better must a prompt be with one word more than with one exchanged: encoders hardly mind
two colours of one thing, but painters do."""

_ROUNDS = 4
_PLACES, _EXCHANGED, _ADDED = 5, 10, 3
"""In a round the words that the difference takes away most are left out or exchanged for those it
brings most, and the very first of these are added in between."""

_CANDIDATES = 8
"""How many prompts the denoiser chooses from."""

_AT_ONCE = 64


@dataclass(frozen=True)
class Reading:
    """The words nearest to a difference, the nearest first, and those nearest to its opposite."""

    brings: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wording:
    """What becomes of a prompt of B: the words once all differences are made, how far it goes there
    (in [0, 1], as the strengths say; more where words are all there is to a difference), which
    share of each difference's delta these words say, in [0, 1], and the words that guidance leads
    away from as far."""

    prompt: str
    amount: float
    shares: tuple[float, ...]
    away: str = ""


class Vocabulary:
    """The words that a delta encoder knows, at their places in its joint space.

    The encoder reads texts and has a ``vocabulary``.
    """

    def __init__(self, encoder: DeltaEncoder) -> None:
        self._encoder = encoder
        self.words = words(encoder)
        vectors = self._places(self.words)
        self._vectors = vectors - vectors.mean(0)

    def read(self, direction: Tensor, count: int = 5) -> Reading:
        """The ``count`` words nearest to a direction [d], and those nearest to its opposite."""
        order = (self._vectors @ direction.to(self._vectors)).argsort(descending=True).tolist()
        nearest = [self.words[i] for i in order]
        return Reading(tuple(nearest[:count]), tuple(nearest[: -count - 1 : -1]))

    def wordings(self, prompt: str, directions: Sequence[Tensor | None]) -> list[Wording]:
        """What may become of a prompt along the sum of the directions, the nearest first. A
        direction [d] is of at most unit length, already multiplied by its strength; None says
        nothing."""
        known = [direction for direction in directions if direction is not None]
        total = torch.stack(known).sum(0) if known else torch.zeros(1)
        amount = min(1.0, float(total.norm()))
        return [
            Wording(new, amount, tuple(0.0 if one is None else share for one in directions))
            for new, share in self.reword(prompt, total)
        ]

    def reword(self, prompt: str, direction: Tensor) -> list[tuple[str, float]]:
        """Prompts with a few words exchanged, so that E_T moves along ``direction`` [d]; each with
        the cosine of that movement with the direction, at least 0. A prompt that no exchange brings
        nearer stays as it is, with 0; so does every prompt if the direction is zero.

        Each prompt is searched for on its own, so that what becomes of it does not depend on
        others.
        """
        if not direction.any():
            return [(prompt, 0.0)]
        start = self._places([prompt])[0]
        step, direction = _STEP * max(1.0, float(direction.norm())), direction.to(start)
        direction = F.normalize(direction, dim=0)
        wanted = F.normalize(start + step * direction, dim=0)
        scores = self._search(prompt, direction, wanted)
        least = float(start @ wanted) + _LEAST_GAIN
        better = [text for text, score in scores.items() if score >= least]
        if not better:
            return [(prompt, 0.0)]
        nearest = heapq.nlargest(_CANDIDATES, better, key=scores.__getitem__)
        moved = self._places(nearest) - start
        shares = F.cosine_similarity(moved, direction, dim=-1).clamp_min(0).tolist()
        return list(zip(nearest, shares, strict=True))

    def _search(self, prompt: str, direction: Tensor, wanted: Tensor) -> dict[str, float]:
        """Every prompt that a greedy search for the place ``wanted`` [d] looks at, with its score:
        the cosine with that place, less what adding words costs."""
        along = dict(zip(self.words, (self._vectors @ direction).tolist(), strict=True))
        brought = sorted(along, key=lambda word: -along[word])
        now, best = prompt.split(), float(self._places([prompt])[0] @ wanted)
        seen: dict[str, float] = {}
        for _ in range(_ROUNDS):
            exchanged, added = list(_exchanges(now, along, brought)), list(_additions(now, brought))
            candidates = exchanged + added
            scores = self._places([" ".join(c) for c in candidates]) @ wanted
            scores[len(exchanged) :] -= _ADDING_COSTS
            texts = (" ".join(candidate) for candidate in candidates)
            seen |= zip(texts, scores.tolist(), strict=True)
            found = int(scores.argmax())
            if float(scores[found]) < best + _LEAST_GAIN:
                break
            now, best = candidates[found], float(scores[found])
        return seen

    def _places(self, texts: Sequence[str]) -> Tensor:
        """E_T of texts, as unit vectors [n, d]."""
        rows = [
            text_vectors(self._encoder, texts[i : i + _AT_ONCE])
            for i in range(0, len(texts), _AT_ONCE)
        ]
        return F.normalize(torch.cat(rows), dim=-1)


def vocabulary_of(encoder: DeltaEncoder) -> Vocabulary | None:
    """An encoder's vocabulary; None if it reads no texts or names no words."""
    return Vocabulary(encoder) if reads_texts(encoder) and words(encoder) else None


def _exchanges(
    now: list[str], along: dict[str, float], brought: Sequence[str]
) -> Iterator[list[str]]:
    """Every prompt with one of the words taken away left out or exchanged."""
    taken = [i for i, word in enumerate(now) if along.get(_bare(word), 0.0) < 0]
    for i in sorted(taken, key=lambda i: along[_bare(now[i])])[:_PLACES]:
        before, after = now[:i], now[i + 1 :]
        if before or after:
            yield before + after
        for word in brought[:_EXCHANGED]:
            yield [*before, word, *after]


def _additions(now: list[str], brought: Sequence[str]) -> Iterator[list[str]]:
    """Every prompt with one of the very first words more."""
    for word in brought[:_ADDED]:
        for i in range(1, len(now) + 1, 2):
            yield [*now[:i], word, *now[i:]]


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()").casefold()
