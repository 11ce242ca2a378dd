"""Scores that need no truth but pictures: PSNR and the directional score of Table 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import DeltaEncoder


def psnr(image: Image, reference: Image) -> float:
    """Peak signal-to-noise ratio of two RGB pictures of one size, in dB; 99 where equal."""
    a = np.asarray(image, dtype=np.float64)
    b = np.asarray(reference, dtype=np.float64)
    mse = float(((a - b) ** 2).mean())
    return 99.0 if mse == 0 else float(10 * np.log10(255**2 / mse))


def clip_directional(
    encoder: DeltaEncoder,
    a: Sequence[Image],
    a_prime: Sequence[Image],
    b: Sequence[Image],
    b_prime: Sequence[Image],
) -> list[float]:
    """cos(E_I(A') - E_I(A), E_I(B') - E_I(B)) of each analogy; 0 where B' equals B."""

    def direction(before: Sequence[Image], after: Sequence[Image]) -> Tensor:
        start = F.normalize(encoder.encode_images(before), dim=-1)
        return F.normalize(encoder.encode_images(after), dim=-1) - start

    return F.cosine_similarity(direction(a, a_prime), direction(b, b_prime), dim=-1).tolist()
