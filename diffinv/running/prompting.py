"""What stands for a B: a given prompt, the text beside it, else what the prompter of A makes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DiffinvError, UsageError
from ..jobs.planning import ApplicationPlan
from ..jobs.requests import ApplyRequest
from ..plugins.loading import registry
from .models import Models
from .parts import Part
from .progress import Meter
from .remembered_weights import find_encoder

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import Backbone, Captioner, DeltaEncoder, DiffTokens


class Prompting:
    """The prompts of one application, whose ``tokens`` take their share of the backbone's words."""

    def __init__(
        self,
        request: ApplyRequest,
        plan: ApplicationPlan,
        backbone: Backbone,
        tokens: Sequence[DiffTokens],
        device: str,
        models: Models,
        meter: Meter,
    ) -> None:
        self._request, self._plan, self._backbone = request, plan, backbone
        self._tokens, self._device = list(tokens), device
        self._models, self._meter = models, meter
        self._room = sum(t.values.shape[1] for t in tokens if t.space == "input")
        if request.prompt_b is not None:
            self._check(request.prompt_b)

    def given(self, picture: Path) -> str | None:
        """The prompt that the user gave for a picture, None where it is to be made.

        Raises DiffinvError where it is too long, or there is nothing to make one with.
        """
        if self._request.prompt_b is not None:
            return self._request.prompt_b
        prompt = _text_beside(picture)
        if prompt:
            self._check(prompt)
        elif self._plan.captioner is None and self._hard is None:
            raise UsageError(
                f"The backbone {self._backbone.id!r} names no captioner: say with --prompt-b, or "
                f"in {picture.with_suffix('.txt').name!r} beside it, what {str(picture)!r} shows."
            )
        return prompt

    def complete(self, images: Sequence[Image], given: Sequence[str | None]) -> list[str]:
        """The given prompts, and made ones for the pictures that have none."""
        if self._request.prompt_b is not None:
            return [prompt or "" for prompt in given]
        bare = [image for image, prompt in zip(images, given, strict=True) if not prompt]
        made = iter(self._make(bare) if bare else [])
        return [prompt or next(made) for prompt in given]

    def _check(self, prompt: str) -> None:
        from ..method.application import check_budget

        check_budget(self._backbone, [prompt], self._tokens)

    def _make(self, images: Sequence[Image]) -> list[str]:
        if self._hard is not None:
            made = [self._hard_prompt(self._hard, image) for image in images]
        else:
            from ..method import answers

            assert self._plan.captioner is not None
            captioner: Captioner = self._models.get(self._plan.captioner, self._device)
            made = answers.captions(captioner, images)
        return [shorten(prompt, self._backbone, self._room, self._meter) for prompt in made]

    def _hard_prompt(self, encoder: DeltaEncoder, image: Image) -> str:
        """One by one, so that no picture's prompt depends on those made beside it."""
        from ..method.prompts import make_prompts

        (prompt,) = make_prompts("pez", encoder, [image], [""], self._request.settings.seed)
        return prompt

    @cached_property
    def _hard(self) -> DeltaEncoder | None:
        """What made the hard prompts of A (of the first difference); None where B gets captions."""
        info = self._plan.differences[0][0].info
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


def _text_beside(picture: Path) -> str | None:
    """The text of the ``.txt`` file beside a picture, None where there is none."""
    path = picture.with_suffix(".txt")
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8").split()) or None
    except (OSError, UnicodeDecodeError) as error:
        raise DiffinvError(f"The prompt file {str(path)!r} cannot be read as text.") from error


def shorten(prompt: str, backbone: Backbone, room: int, meter: Meter) -> str:
    """A prompt that leaves ``room`` for DIFF tokens; words are dropped from its end."""
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
    if short != " ".join(prompt.split()):
        meter.warn(f"The prompt was shortened to the {budget} tokens there is room for: {short!r}.")
        return short
    return prompt
