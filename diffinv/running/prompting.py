"""Prompts for a B that has none: a caption, or a hard prompt if A's prompts were hard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import DiffinvError, UsageError
from ..plugins.loading import registry
from .parts import Part
from .remembered_weights import find_encoder

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import Backbone, Captioner, DeltaEncoder, DiffTokens
    from ..difference import DifferenceInfo
    from .models import Models
    from .progress import Meter


class Prompting:
    """Makes the prompts of B for one application.

    ``info`` is the first difference's, whose prompter is used again; ``tokens`` take their share
    of the backbone's token budget; ``captioner`` is None if there is none to ask.
    """

    def __init__(
        self,
        info: DifferenceInfo,
        backbone: Backbone,
        tokens: Sequence[DiffTokens],
        captioner: Callable[[], Captioner] | None,
        models: Models,
        device: str,
        seed: int,
        meter: Meter,
    ) -> None:
        self._info, self._backbone, self._captioner = info, backbone, captioner
        self._tokens, self._models, self._device = list(tokens), models, device
        self._seed, self._meter = seed, meter
        self._room = sum(t.values.shape[1] for t in tokens if t.space == "input")

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
        info = self._info
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
