"""A difference as words: Algorithm 1, projected to real words at every step, as PEZ does it.

k words that the change brings and k that it takes away:

    {prompt, D}    prompt and what is brought, led away from what is taken;
    {prompt, -D}   prompt and what is taken, led away from what is brought.

Words belong to no model: whatever reads text, with a negative prompt, can be told them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import Backbone, Conditioning, DeltaEncoder, DiffTokens
from ..contracts.conditioning import concatenate
from ..errors import UsageError
from . import answers
from .objective import clip_loss
from .prompts import HardPromptEncoder, nearest_words
from .settings import ApplicationSettings
from .words import Wording, vocabulary_of

_AWAY = ApplicationSettings().guidance_scale - 1
"""How far guidance leads away from a negative prompt rather than from the empty one:
neg + g (pos - neg) is less than with the empty prompt by (g - 1) (neg - empty)."""


@dataclass(frozen=True)
class WordTokens:
    """Words brought and words taken, none of them longer than a line."""

    brings: tuple[str, ...]
    takes: tuple[str, ...]

    def turned(self, strength: float) -> WordTokens:
        """What a strength's sign makes of them: -D brings what D takes."""
        return self if strength >= 0 else WordTokens(self.takes, self.brings)


class WordTable:
    """The words of an encoder whose text tower is the backbone's own: equal joint space, equal
    width.

    Raises UsageError if the two cannot share word embeddings.
    """

    def __init__(self, backbone: Backbone, encoder: DeltaEncoder) -> None:
        if not isinstance(encoder, HardPromptEncoder):
            raise UsageError(
                f"The delta encoder {encoder.id!r} has no word embeddings, which --token-space "
                "words is learned with; choose another --token-space."
            )
        self._encoder: HardPromptEncoder = encoder
        empty = answers.conditioning(backbone, [""])
        width = encoder.token_table.shape[-1]
        alike = backbone.joint_space == cast(DeltaEncoder, encoder).space
        if not alike or backbone.token_width != width or empty.reencode is None:
            raise UsageError(
                f"The backbone {backbone.id!r} does not read the words of the delta encoder "
                f"{cast(DeltaEncoder, encoder).id!r} as it does, so no words can be learned on it; "
                "learn them on another model (words can be applied with any), or choose another "
                "--token-space."
            )
        self.table = encoder.token_table.to(backbone.device)
        self._columns = F.normalize(self.table, dim=-1).T.contiguous()
        self.unit = float(self.table.square().mean().sqrt())
        """The root mean square of the embeddings."""

    def project(self, soft: Tensor) -> Tensor:
        """The nearest words' embeddings [..., width], with the gradient of ``soft`` itself: what
        PEZ takes there is the gradient at the projection."""
        hard = self.table[nearest_words(self._columns, soft.detach())]
        return soft + (hard - soft).detach()

    def words(self, tokens: Tensor) -> WordTokens:
        """The words of embeddings [2k, width]."""
        ids = self._encoder.token_ids[nearest_words(self._columns, tokens).cpu()]
        found = tuple(self._encoder.text_of(ids[i : i + 1]) for i in range(len(ids)))
        k = len(found) // 2
        return WordTokens(found[:k], found[k:])

    def start(self, direction: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """The k words nearest to a direction [d] and the k nearest to its opposite, [2k, width];
        random ones for those the encoder cannot name."""
        places = torch.randint(len(self.table), (2 * k,), generator=generator).tolist()
        vocabulary = vocabulary_of(cast(DeltaEncoder, self._encoder))
        if vocabulary is not None:
            reading = vocabulary.read(direction, len(vocabulary.words) // 2)
            for side, words in enumerate((reading.brings, reading.takes)):
                found = (self._place(word) for word in words[: 8 * k])
                known = [place for place in found if place is not None][:k]
                places[side * k : side * k + len(known)] = known
        return self.table[places]

    def _place(self, word: str) -> int | None:
        """A word's row in the table; None if it is not one token that is there."""
        ids = self._encoder.ids_of(word)
        if len(ids) != 1:
            return None
        found = (self._encoder.token_ids == ids[0]).nonzero()
        return int(found[0]) if len(found) else None

    def clip(self, tokens: Tensor, d_inter: Tensor) -> Tensor:
        """Eq 6 for words [n, 2k, width]: D is E_T(brought) - E_T(taken), [n]."""
        brings, takes = (
            F.normalize(self._encoder.encode_embeddings(half), dim=-1)
            for half in tokens.chunk(2, dim=1)
        )
        return clip_loss(brings - takes, d_inter)


def predict(
    backbone: Backbone,
    prompt_a: Conditioning,
    prompt_a_prime: Conditioning,
    tokens: Tensor,
    noisy: Tensor,
    timesteps: Tensor,
) -> Tensor:
    """The two branches' predictions [2p, c, h, w], before then after, from embeddings of words
    [p, 2k, width]. {prompt_A', -D} and {prompt_A, D} are each led away from the other's words.
    """
    brings, takes = (DiffTokens(half, "input") for half in tokens.chunk(2, dim=1))
    empty = answers.conditioning(backbone, [""] * len(prompt_a))
    told = concatenate(prompt_a_prime.extend(takes), prompt_a.extend(brings))
    against = concatenate(empty.extend(brings), empty.extend(takes))
    both = answers.prediction(
        backbone,
        noisy.repeat(3, 1, 1, 1),
        timesteps.repeat(3),
        concatenate(told, against, empty.repeat(2)),
    )
    positive, negative, neutral = both.chunk(3)
    return positive - _AWAY * (negative - neutral)


def said(prompt: str, differences: Sequence[tuple[WordTokens, float]]) -> str:
    """A prompt with what differences bring at the strengths' signs."""
    return " ".join([prompt, *_all(differences, "brings")]).strip()


def left_unsaid(differences: Sequence[tuple[WordTokens, float]]) -> str:
    """What differences take away: a negative prompt."""
    return " ".join(_all(differences, "takes"))


def _all(differences: Sequence[tuple[WordTokens, float]], side: str) -> list[str]:
    return [
        word
        for words, strength in differences
        if strength
        for word in getattr(words.turned(strength), side)
    ]


def with_words(
    prompt: str, wording: Wording, differences: Sequence[tuple[WordTokens, float]]
) -> Wording:
    """A wording of a prompt that also says what word differences bring and leads away from what
    they take, as far as the strongest goes.

    One that has exchanged words of the prompt is left alone: these are where they belong.
    """
    if wording.prompt != prompt or not differences:
        return wording
    amount = max(abs(strength) for _, strength in differences)
    text, away = said(prompt, differences), left_unsaid(differences)
    return Wording(text, amount, wording.shares, away)
