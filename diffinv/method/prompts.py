"""prompt_A and prompt_A': the captions themselves, or hard prompts by PEZ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import DeltaEncoder
from ..errors import UsageError
from .answers import picture_vectors
from .settings import PROMPTERS

if TYPE_CHECKING:
    from PIL.Image import Image

_PEZ_TOKENS = 16
_PEZ_STEPS = 200
_PEZ_LR = 0.1
_PEZ_WEIGHT_DECAY = 0.1


@runtime_checkable
class HardPromptEncoder(Protocol):
    """What PEZ needs of a delta encoder: its words, and gradients through its text tower.

    ``token_table`` [v, w] holds the word embeddings a prompt may use, ``token_ids`` [v] their ids.
    """

    token_table: Tensor
    token_ids: Tensor

    def encode_embeddings(self, embeddings: Tensor) -> Tensor:
        """Word embeddings [n, k, w] to the joint space [n, d]; differentiable."""

    def text_of(self, ids: Tensor) -> str:
        """The text of token ids [k]."""

    def ids_of(self, text: str) -> list[int]:
        """The token ids of a text: those that :meth:`text_of` made it from."""


def make_prompts(
    prompter: str,
    encoder: DeltaEncoder,
    images: Sequence[Image],
    captions: Sequence[str],
    seed: int,
) -> list[str]:
    """The frozen prompt of each picture. Raises UsageError for an unknown prompter."""
    if prompter == "caption":
        return list(captions)
    if prompter == "pez":
        if not isinstance(encoder, HardPromptEncoder):
            raise UsageError(
                f"The delta encoder {encoder.id!r} cannot make hard prompts;"
                " use --prompter caption."
            )
        return pez(encoder, picture_vectors(encoder, images), seed)
    raise UsageError(f"There is no prompter {prompter!r}; choose from {', '.join(PROMPTERS)}.")


def nearest_words(columns: Tensor, embeddings: Tensor) -> Tensor:
    """The columns of a normalised table [w, v] closest by cosine to embeddings [..., w]: [...].

    The scale of the embeddings does not matter, so they are not normalised.
    """
    return (embeddings @ columns).argmax(-1)


def pez(encoder: HardPromptEncoder, targets: Tensor, seed: int) -> list[str]:
    """PEZ: for each target [n, d], a hard prompt whose text embedding is close to it.

    Continuous embeddings are optimised with the gradient taken at their projection onto real words
    (AdamW, learning rate 0.1, weight decay 0.1); the best projection along the way is kept.
    """
    table = encoder.token_table
    columns = F.normalize(table, dim=-1).T.contiguous()
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(len(table), (len(targets), _PEZ_TOKENS), generator=generator)
    soft = table[first.to(table.device)].clone().requires_grad_()
    optimiser = torch.optim.AdamW([soft], lr=_PEZ_LR, weight_decay=_PEZ_WEIGHT_DECAY)
    direction = F.normalize(targets, dim=-1)
    best = torch.full((len(targets),), -torch.inf, device=table.device)
    words = nearest_words(columns, soft.detach())
    for _ in range(_PEZ_STEPS):
        nearest = nearest_words(columns, soft.detach())
        hard = table[nearest].clone().requires_grad_()
        cosine = (F.normalize(encoder.encode_embeddings(hard), dim=-1) * direction).sum(-1)
        (soft.grad,) = torch.autograd.grad(-cosine.sum(), hard)
        better = cosine.detach() > best
        best = torch.where(better, cosine.detach(), best)
        words = torch.where(better[:, None], nearest, words)
        optimiser.step()
    return [encoder.text_of(encoder.token_ids[row]) for row in words]
