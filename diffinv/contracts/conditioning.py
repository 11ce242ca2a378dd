"""{prompt, D}: how DIFF tokens are combined with a prompt.

Three token spaces, each with a rule for the sign and the strength w:

``additive``  one vector per difference, added to every hidden state of the prompt except the start
              token's: h + w * D. The negative is exact and the strength is a plain factor.
``input``     word embeddings run through the text encoder after the prompt's words. The sign
              applies to the embeddings; |w| blends hidden states with and without the tokens.
``output``    the paper's concatenation after the text encoder's output: [h; w * D].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

TokenSpace = Literal["additive", "input", "output"]


@dataclass(frozen=True)
class DiffTokens:
    """DIFF tokens of n differences: ``values`` [n, k, width] float32 in one token space."""

    values: Tensor
    space: TokenSpace

    def __neg__(self) -> DiffTokens:
        return replace(self, values=-self.values)

    def __getitem__(self, index: Tensor | slice) -> DiffTokens:
        return replace(self, values=self.values[index])

    def scaled(self, factors: Tensor) -> DiffTokens:
        """A factor [n] for each prompt: values [n, k, width]."""
        return replace(self, values=self.values * factors[:, None, None])


Reencode: TypeAlias = "Callable[[Tensor], Conditioning]"
"""Word embeddings [n, k, width] to the conditioning of {prompt, D}: hidden states
[n, length, width], and those of the prompt's ``extra`` that depend on its words."""


@dataclass(frozen=True)
class Conditioning:
    """What the denoiser attends to.

    ``prompt_embeds`` are hidden states [n, length, width]; ``extra`` holds whatever else a model
    needs per row (a pooled embedding, sizes); ``reencode`` runs the text encoder again with word
    embeddings after the prompt's words (input space), if the backbone can.
    """

    prompt_embeds: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    reencode: Reencode | None = None

    def __len__(self) -> int:
        return len(self.prompt_embeds)

    def extend(self, tokens: DiffTokens, strength: float = 1.0) -> Conditioning:
        """{prompt, w * D}. Strength 0 gives the prompt itself, a negative one {prompt, -|w| * D}.

        ``tokens`` has one row for each prompt, or one for all. Raises ValueError for input-space
        tokens that the backbone does not take.
        """
        if strength == 0:
            return self
        if tokens.space == "additive":
            return self._add(tokens.values * strength)
        if tokens.space == "output":
            return self._append(tokens.values * strength)
        return self._insert(tokens.values, strength)

    def moved(self, before: Conditioning, after: Conditioning, share: float) -> Conditioning:
        """h + share * (h(after) - h(before)), for what becomes of a prompt's own words.

        Prompts of different lengths cannot be blended: ``after`` counts from half the share on.
        """
        if before.prompt_embeds.shape != after.prompt_embeds.shape:
            return after if share >= 0.5 else self
        change = after.prompt_embeds - before.prompt_embeds
        extra = {k: v + share * (after.extra[k] - before.extra[k]) for k, v in self.extra.items()}
        return replace(self, prompt_embeds=self.prompt_embeds + share * change, extra=extra)

    def _add(self, values: Tensor) -> Conditioning:
        vector = values.sum(dim=1, keepdim=True)
        start, rest = self.prompt_embeds[:, :1], self.prompt_embeds[:, 1:]
        return replace(self, prompt_embeds=_cat([start, rest + vector], dim=1))

    def _append(self, values: Tensor) -> Conditioning:
        rows = values.expand(len(self), -1, -1)
        return replace(self, prompt_embeds=_cat([self.prompt_embeds, rows], dim=1))

    def _insert(self, values: Tensor, strength: float) -> Conditioning:
        if self.reencode is None:
            raise ValueError("this backbone takes no input-space tokens")
        reencode = self.reencode
        signed = (1.0 if strength > 0 else -1.0) * values.expand(len(self), -1, -1)
        other, share = reencode(signed), abs(strength)
        blended = {k: self.extra[k].lerp(v, share) for k, v in other.extra.items()}
        return replace(
            self,
            prompt_embeds=self.prompt_embeds.lerp(other.prompt_embeds, share),
            extra={**self.extra, **blended},
            reencode=lambda more: reencode(_cat([signed, more], dim=1)),
        )

    def repeat(self, times: int) -> Conditioning:
        """The whole batch ``times`` times over."""
        extra = {k: _cat([v] * times) for k, v in self.extra.items()}
        embeds = _cat([self.prompt_embeds] * times)
        return Conditioning(embeds, extra)

    def __getitem__(self, index: slice | Tensor) -> Conditioning:
        extra = {k: v[index] for k, v in self.extra.items()}
        return Conditioning(self.prompt_embeds[index], extra)


def concatenate(*parts: Conditioning) -> Conditioning:
    """One batch from several; shorter sequences are refused (they would attend to padding)."""
    keys = parts[0].extra.keys()
    extra = {k: _cat([p.extra[k] for p in parts]) for k in keys}
    return Conditioning(_cat([p.prompt_embeds for p in parts]), extra)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Imports torch only when called: nothing else here needs it, and front ends do not load it."""
    import torch

    return torch.cat(list(tensors), dim=dim)
