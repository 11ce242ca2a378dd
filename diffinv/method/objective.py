"""Eq 6-10: the token consistency loss, the clip loss, and their sum."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .settings import InversionSettings

_PAPER_LATENTS = 4 * 64 * 64
_SMOOTH = 0.01
"""Added under the root of the tokens' squared norm, so that the cosine has a gradient at zero."""


def residual_size(residual: Tensor, tc_norm: str) -> Tensor:
    """The size of a residual [n, c, h, w], one number per row [n]: ``rms``, ``mse`` or ``norm``.

    ``norm`` is the paper's L2 norm at the paper's latent size: rms * sqrt(4 * 64 * 64).
    """
    mse = residual.square().flatten(1).mean(1)
    if tc_norm == "mse":
        return mse
    rms = (mse + 1e-12).sqrt()
    return rms * math.sqrt(_PAPER_LATENTS) if tc_norm == "norm" else rms


def token_consistency(
    target: Tensor, prediction: Tensor, weight: Tensor | float, tc_norm: str
) -> Tensor:
    """Eq 7-9: L_mse_before + L_mse_after for every pair, [n].

    ``target`` and ``prediction`` hold the before branch's n rows, then the after branch's n rows:
    [2n, c, h, w]; ``weight`` scales the residual, per latent pixel or as a whole.
    """
    before, after = residual_size(weight * (target - prediction), tc_norm).chunk(2)
    return before + after


def clip_loss(projected: Tensor, d_inter: Tensor) -> Tensor:
    """Eq 6: 1 - cos(D, D_inter) for [n, d] and [n, d]; [n].

    The norm of D is smoothed, cos = D . y / sqrt(|D|^2 + 0.01), so that at D = 0 the gradient is
    finite and points towards D_inter; plain cosine has an infinite one there.
    """
    direction = F.normalize(d_inter, dim=-1)
    norm = (projected.square().sum(-1) + _SMOOTH).sqrt()
    return 1 - (projected * direction).sum(-1) / norm


def total_loss(tc: Tensor, clip: Tensor, settings: InversionSettings) -> Tensor:
    """Eq 10: lambda_tc * L_tc + lambda_clip * L_clip, [n]."""
    return settings.lambda_tc * tc + settings.lambda_clip * clip


def change_weight(z_a: Tensor, z_a_prime: Tensor) -> Tensor:
    """Where a pair differs: weights [n, 1, h, w] in [0.1, 1.1] for the residual of L_tc.

    w = 0.1 + min(1, |z_A' - z_A| blurred 3x3, as a share of its 97th percentile). A pair that
    differs over most of the picture gets 1 everywhere: where it differs then says nothing.
    """
    change = blur((z_a_prime - z_a).abs().mean(1, keepdim=True))
    top = torch.quantile(change.flatten(1), 0.97, dim=1).clamp_min(1e-6)[:, None, None, None]
    share = (change / top).clamp(max=1)
    weight = 0.1 + share
    everywhere = (share > 0.5).float().mean((1, 2, 3), keepdim=True) > 0.5
    return torch.where(everywhere, torch.ones_like(weight), weight)


def blur(values: Tensor) -> Tensor:
    """3x3 mean with replicated borders, [n, 1, h, w]."""
    return F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
