"""Prompts for a B: a caption, or a hard prompt if A's prompts were hard, and what becomes of its
words when differences are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import DiffinvError, UsageError
from ..plugins.loading import registry
from .parts import Part
from .remembered_weights import find_encoder

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, Captioner, DeltaEncoder, DiffTokens
    from ..difference import Difference
    from ..method.word_tokens import WordTokens
    from ..method.words import Vocabulary, Wording
    from .models import Models
    from .progress import Meter


@dataclass(frozen=True)
class Prompt:
    """What a B shows, and what becomes of these words; None if they are left alone."""

    text: str
    wording: Wording | None = None


@dataclass(frozen=True)
class Draft:
    """What a B shows, and what may become of these words; nothing if they are left alone."""

    text: str
    candidates: Sequence[Wording] = ()


def wordings_of(prompts: Sequence[Prompt]) -> list[Wording] | None:
    """Of all of them, or none."""
    found = [prompt.wording for prompt in prompts if prompt.wording]
    return found or None


class Prompting:
    """Makes the prompts of B for one application.

    The first difference's prompter is used again; ``tokens`` take their share of the backbone's
    token budget; ``captioner`` is None if there is none to ask. ``reword`` says whether the words
    of prompts follow the differences.
    """

    def __init__(
        self,
        differences: Sequence[tuple[Difference, float]],
        backbone: Backbone,
        tokens: Sequence[DiffTokens],
        captioner: Callable[[], Captioner] | None,
        models: Models,
        device: str,
        seed: int,
        reword: bool,
        meter: Meter,
    ) -> None:
        self._differences, self._backbone, self._captioner = differences, backbone, captioner
        self._vectors = [row for row in differences if not row[0].info.is_words]
        self._words = word_differences(differences)
        self._reword = reword
        self._tokens, self._models, self._device = list(tokens), models, device
        self._seed, self._meter = seed, meter
        from ..method.word_tokens import said

        self._drafts: dict[str, Draft] = {}
        self._token_room = sum(t.values.shape[1] for t in tokens if t.space == "input")
        self._room = self._token_room + backbone.count_tokens(said("", self._words))

    @property
    def can_make(self) -> bool:
        """Whether there is anything to make prompts with."""
        return self._captioner is not None or self._hard is not None

    def check(self, prompt: str) -> None:
        """Raise UsageError for a prompt that leaves no room for the tokens."""
        from ..method.application import check_budget

        check_budget(self._backbone, [prompt], self._tokens)

    def complete(self, images: Sequence[Image], given: Sequence[str | None]) -> list[str]:
        """The given prompts, with new ones for the pictures that have none. ``images`` may go on
        with others that fill the batch up."""
        if None not in given:
            return [prompt for prompt in given if prompt is not None]
        if self._hard is not None:
            hard = self._hard
            rows = zip(images, given, strict=False)
            return [self._hard_prompt(hard, image) if p is None else p for image, p in rows]
        made = self._captions(images)
        return [self._fitted(new) if p is None else p for new, p in zip(made, given, strict=False)]

    def drafts(self, prompts: Sequence[str]) -> list[Draft]:
        """The prompts with what may become of their words: found once for each, which takes a
        minute with a large encoder on a CPU."""
        if self._vocabulary is None and not self._words:
            return [Draft(text) for text in prompts]
        for text in prompts:
            if text not in self._drafts:
                candidates = [self._that_fits(text, one) for one in self._wordings(text)]
                self._drafts[text] = Draft(text, candidates)
        return [self._drafts[text] for text in prompts]

    def _wordings(self, text: str) -> list[Wording]:
        from ..method.words import Wording

        if self._vocabulary is None:
            return [Wording(text, 0.0, (0.0,) * len(self._vectors))]
        found = self._vocabulary.wordings(text, self._directions)
        return [replace(one, shares=self._of_vectors(one.shares)) for one in found]

    def _of_vectors(self, shares: Sequence[float]) -> tuple[float, ...]:
        rows = zip(self._differences, shares, strict=True)
        return tuple(share for (d, _), share in rows if not d.info.is_words)

    def _that_fits(self, text: str, wording: Wording) -> Wording:
        """With what word differences say, for which there is room."""
        from ..method.word_tokens import with_words

        told = with_words(text, wording, self._words)
        short, _ = shortened(told.prompt, self._backbone, self._token_room)
        return replace(told, prompt=short)

    @cached_property
    def _directions(self) -> list[Tensor | None]:
        """Each difference's direction in the joint space, times its strength; None for one that has
        no direction in the first one's space."""
        import torch

        from ..method.application import within_unit

        first = self._differences[0][0]
        found: list[Tensor | None] = []
        for difference, strength in self._differences:
            image, info = difference.delta_image, difference.info
            delta = difference.delta if image is None or not image.any() else image
            alike = info.delta_encoder == first.info.delta_encoder and info.token_space != "input"
            fits = alike and delta.shape == first.delta.shape and bool(delta.any())
            direction = torch.from_numpy(delta.copy()) * within_unit(strength)
            found.append(direction if fits else None)
        return found

    @cached_property
    def _vocabulary(self) -> Vocabulary | None:
        """The words to go along the directions; None if words are to be left alone, or the encoder
        has none or cannot be used."""
        if not self._reword or all(direction is None for direction in self._directions):
            return None
        info = self._differences[0][0].info
        if info.prompter == "pez" and self._hard is None:
            return None  # which has been said
        import torch

        try:
            spec = registry().get("delta encoder", info.delta_encoder)
            part = Part(spec, find_encoder(info))
            space = self._models.get(part, self._device).space
            if self._vectors and space != self._backbone.joint_space:
                raise UsageError("its weights here are of another space.")
            return self._models.vocabulary(part, self._device)
        except (DiffinvError, torch.OutOfMemoryError) as error:
            if not isinstance(error, DiffinvError):
                error = DiffinvError(f"{self._device} has no memory left for it.")
            self._meter.warn(
                f"The words of prompts stay as they are, since {info.delta_encoder!r}, which would "
                f"say what the difference changes in them, cannot be used now: {error}"
            )
            return None

    def _captions(self, images: Sequence[Image]) -> list[str]:
        """Of the whole batch, so that no caption depends on which of the others are needed."""
        from ..method import answers

        assert self._captioner is not None
        return answers.captions(self._captioner(), images)

    def _fitted(self, text: str) -> str:
        prompt, remark = shortened(text, self._backbone, self._room)
        if remark:
            self._meter.warn(remark)
        return prompt

    def _hard_prompt(self, encoder: DeltaEncoder, image: Image) -> str:
        """Made one at a time, so that no picture's prompt depends on the others."""
        from ..method.prompts import make_prompts

        (prompt,) = make_prompts("pez", encoder, [image], [""], self._seed)
        return self._fitted(prompt)

    @cached_property
    def _hard(self) -> DeltaEncoder | None:
        """The encoder that made A's hard prompts (first difference); None if B gets captions."""
        info = self._differences[0][0].info
        if info.prompter != "pez":
            return None
        try:
            spec = registry().get("delta encoder", info.delta_encoder)
            part = Part(spec, find_encoder(info))
            encoder: DeltaEncoder = self._models.get(part, self._device)
            if encoder.space != self._backbone.joint_space:
                raise UsageError(f"its weights here are of another space, {encoder.space!r}.")
            return encoder
        except DiffinvError as error:
            self._meter.warn(
                f"The prompts of A were made by PEZ with {info.delta_encoder!r}, which cannot be "
                f"used now, so those of B are captions: {error}"
            )
            return None


def word_differences(
    differences: Sequence[tuple[Difference, float]],
) -> list[tuple[WordTokens, float]]:
    """Those among differences that are words, with their strengths."""
    from ..method.word_tokens import WordTokens

    return [
        (WordTokens(d.info.words_brought, d.info.words_taken), strength)
        for d, strength in differences
        if d.info.is_words
    ]


def shortened(prompt: str, backbone: Backbone, room: int) -> tuple[str, str | None]:
    """A prompt that leaves ``room`` for DIFF tokens, and a remark if words were dropped from its
    end."""
    budget = backbone.token_budget - room
    if budget < 0:
        raise UsageError(
            f"{room} DIFF tokens are more than the {backbone.token_budget} tokens that the "
            f"backbone {backbone.id!r} reads."
        )
    words = prompt.split()
    while words and backbone.count_tokens(" ".join(words)) > budget:
        words.pop()
    short = " ".join(words)
    if short == " ".join(prompt.split()):
        return prompt, None
    return short, (f"The prompt was shortened to the {budget} tokens there is room for: {short!r}.")
