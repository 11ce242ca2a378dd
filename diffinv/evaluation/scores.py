"""Scores computed from pictures alone: PSNR, and, with any image encoder, the directional score of
Table 1 and the similarity of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from ..method.answers import picture_vectors

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import DeltaEncoder


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio of two RGB pictures of the same size, in dB; 99 if equal."""
    a = np.asarray(image, dtype=np.float64)
    b = np.asarray(reference, dtype=np.float64)
    mse = float(((a - b) ** 2).mean())
    return 99.0 if mse == 0 else float(10 * np.log10(255**2 / mse))


@dataclass(frozen=True)
class AnalogyScores:
    """Cosines in an image encoder's space, for one B'.

    ``directional``: of A → A' with B → B'; ``like_b``: of B' with B (what was kept);
    ``like_a_prime``: of B' with A' (high where A' was copied).
    """

    directional: float
    like_b: float
    like_a_prime: float


def score_analogies(
    encoder: DeltaEncoder, a: Image, a_prime: Image, answers: Iterable[tuple[Image, Image]]
) -> Iterator[AnalogyScores]:
    """The scores of every (B, B') for one example (A, A')."""
    from_a, to_a = F.normalize(picture_vectors(encoder, [a, a_prime]), dim=-1)
    for b, b_prime in answers:
        from_b, to_b = F.normalize(picture_vectors(encoder, [b, b_prime]), dim=-1)
        yield AnalogyScores(
            directional=float(F.cosine_similarity(to_a - from_a, to_b - from_b, dim=0)),
            like_b=float(to_b @ from_b),
            like_a_prime=float(to_b @ to_a),
        )


def clip_directional(
    encoder: DeltaEncoder,
    a: Sequence[Image],
    a_prime: Sequence[Image],
    b: Sequence[Image],
    b_prime: Sequence[Image],
) -> list[float]:
    """cos(E_I(A') - E_I(A), E_I(B') - E_I(B)) for each analogy; 0 if B' equals B."""

    def direction(before: Sequence[Image], after: Sequence[Image]) -> Tensor:
        start = F.normalize(picture_vectors(encoder, before), dim=-1)
        return F.normalize(picture_vectors(encoder, after), dim=-1) - start

    return F.cosine_similarity(direction(a, a_prime), direction(b, b_prime), dim=-1).tolist()
