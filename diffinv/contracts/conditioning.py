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

DifferenceSpace: TypeAlias = TokenSpace | Literal["words"]
"""How a difference is kept: vectors of a token space, or words, which join the prompt's text."""


POOLED = "pooled"
"""The entry of a conditioning's ``extra`` with a pooled text embedding [n, pooled_width], which a
difference may move in every token space: p + w * D_p."""


@dataclass(frozen=True)
class DiffTokens:
    """DIFF tokens of n differences: ``values`` [n, k, width] float32 in one token space and, of
    those that move a pooled embedding too, ``pooled`` [n, pooled_width] float32."""

    values: Tensor
    space: TokenSpace
    pooled: Tensor | None = None

    def __neg__(self) -> DiffTokens:
        pooled = None if self.pooled is None else -self.pooled
        return replace(self, values=-self.values, pooled=pooled)

    def __getitem__(self, index: Tensor | slice) -> DiffTokens:
        pooled = None if self.pooled is None else self.pooled[index]
        return replace(self, values=self.values[index], pooled=pooled)

    def scaled(self, factors: Tensor) -> DiffTokens:
        """A factor [n] for each prompt: values [n, k, width]."""
        pooled = None if self.pooled is None else self.pooled * factors[:, None]
        return replace(self, values=self.values * factors[:, None, None], pooled=pooled)


Reencode: TypeAlias = "Callable[[Tensor], Conditioning]"
"""Word embeddings [n, k, width] to the conditioning of {prompt, D}: hidden states
[n, length, width], and those of the prompt's ``extra`` that depend on its words."""


@dataclass(frozen=True)
class Conditioning:
    """What the denoiser attends to.

    ``prompt_embeds`` are hidden states [n, length, width]; ``extra`` holds whatever else a model
    needs per row (sizes; a pooled embedding, as :data:`POOLED`); ``reencode`` runs the text encoder
    again with word embeddings after the prompt's words (input space), if the backbone can.

    Where prompts differ in length, ``mask`` [n, length] (bool) says which hidden states are the
    prompt's, the others being filled up; without it all are. ``reach`` [n, length] (bool) says
    which of them an additive token is added to: without it all but the first, the start token's.
    A chat template's own tokens are left out of it.
    """

    prompt_embeds: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    reencode: Reencode | None = None
    mask: Tensor | None = None
    reach: Tensor | None = None

    def __len__(self) -> int:
        return len(self.prompt_embeds)

    def extend(self, tokens: DiffTokens, strength: float = 1.0) -> Conditioning:
        """{prompt, w * D}. Strength 0 gives the prompt itself, a negative one {prompt, -|w| * D}.

        ``tokens`` has one row for each prompt, or one for all. Raises ValueError for input-space
        tokens that the backbone does not take, and for a pooled part where nothing is pooled.
        """
        if strength == 0:
            return self
        if tokens.space == "additive":
            extended = self._add(tokens.values * strength)
        elif tokens.space == "output":
            extended = self._append(tokens.values * strength)
        else:
            extended = self._insert(tokens.values, strength)
        return extended if tokens.pooled is None else extended._pool(tokens.pooled * strength)

    def moved(self, before: Conditioning, after: Conditioning, share: float) -> Conditioning:
        """h + share * (h(after) - h(before)), for what becomes of a prompt's own words.

        Prompts of different lengths cannot be blended: ``after`` counts from half the share on.
        """
        if not (_are_alike(before, after) and _are_alike(self, after)):
            return after if share >= 0.5 else self
        change = after.prompt_embeds - before.prompt_embeds
        extra = {k: v + share * (after.extra[k] - before.extra[k]) for k, v in self.extra.items()}
        return replace(self, prompt_embeds=self.prompt_embeds + share * change, extra=extra)

    def _add(self, values: Tensor) -> Conditioning:
        vector = values.sum(dim=1, keepdim=True)
        if self.reach is not None:
            reached = self.reach.to(self.prompt_embeds)[:, :, None]
            return replace(self, prompt_embeds=self.prompt_embeds + reached * vector)
        start, rest = self.prompt_embeds[:, :1], self.prompt_embeds[:, 1:]
        return replace(self, prompt_embeds=_cat([start, rest + vector], dim=1))

    def _pool(self, vector: Tensor) -> Conditioning:
        if POOLED not in self.extra:
            raise ValueError("this backbone has no pooled embedding")
        return replace(self, extra={**self.extra, POOLED: self.extra[POOLED] + vector})

    def _append(self, values: Tensor) -> Conditioning:
        rows = values.expand(len(self), -1, -1)
        embeds = _cat([self.prompt_embeds, rows], dim=1)
        mask = _longer(self.mask, rows.shape[1], True)
        return replace(
            self, prompt_embeds=embeds, mask=mask, reach=_longer(self.reach, rows.shape[1])
        )

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
        return concatenate(*[self] * times)

    def __getitem__(self, index: slice | Tensor) -> Conditioning:
        extra = {k: v[index] for k, v in self.extra.items()}
        mask, reach = (None if x is None else x[index] for x in (self.mask, self.reach))
        return Conditioning(self.prompt_embeds[index], extra, mask=mask, reach=reach)


def concatenate(*parts: Conditioning) -> Conditioning:
    """One batch from several. Shorter sequences are filled up if they have masks, and else refused
    by torch: they would attend to padding."""
    keys = parts[0].extra.keys()
    extra = {k: _cat([p.extra[k] for p in parts]) for k in keys}
    longest = max(p.prompt_embeds.shape[1] for p in parts)
    if all(p.mask is not None for p in parts):
        parts = tuple(_filled(p, longest) for p in parts)
    mask, reach = (_all([getattr(p, name) for p in parts]) for name in ("mask", "reach"))
    return Conditioning(_cat([p.prompt_embeds for p in parts]), extra, mask=mask, reach=reach)


def _are_alike(one: Conditioning, other: Conditioning) -> bool:
    """Whether two batches have prompts of the same lengths."""
    if one.prompt_embeds.shape != other.prompt_embeds.shape:
        return False
    return one.mask is None or other.mask is None or bool((one.mask == other.mask).all())


def _filled(one: Conditioning, length: int) -> Conditioning:
    """With as many hidden states more as it takes, which nothing attends to or reaches."""
    from torch.nn.functional import pad

    more = length - one.prompt_embeds.shape[1]
    embeds = pad(one.prompt_embeds, (0, 0, 0, more)) if more else one.prompt_embeds
    mask, reach = _longer(one.mask, more), _longer(one.reach, more)
    return replace(one, prompt_embeds=embeds, mask=mask, reach=reach)


def _longer(mask: Tensor | None, more: int, value: bool = False) -> Tensor | None:
    """A mask [n, length], if there is one, with so many places more."""
    from torch.nn.functional import pad

    return None if mask is None else pad(mask, (0, more), value=value)


def _all(values: Sequence[Tensor | None]) -> Tensor | None:
    """Masks one after another, if there are any."""
    found = [value for value in values if value is not None]
    return _cat(found) if found else None


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Imports torch only when called: nothing else here needs it, and front ends do not load it."""
    import torch

    return torch.cat(list(tensors), dim=dim)
