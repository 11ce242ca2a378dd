"""Eq 2-4: image delta, text delta and their spherical interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from .answers import check_width, picture_vectors, text_vectors

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import DeltaEncoder

_PARALLEL = 1e-4
"""Angles (radians) closer than this to 0 or pi have no well-conditioned slerp."""

NO_DELTA = 1e-4
"""A delta shorter than this share of the embeddings' length carries no direction."""

FAINT_DELTA = 0.05
"""A delta of unit vectors shorter than this is hardly more than re-saving a picture gives: 1 % of
noise moves a picture by 0.01, a change one can name by 0.3 and more."""


def image_delta(encoder: DeltaEncoder, a: Sequence[Image], a_prime: Sequence[Image]) -> Tensor:
    """Eq 2: D_img = E_I(A') - E_I(A), the mean over one difference's pairs: [d]."""
    return _mean_difference(picture_vectors(encoder, a), picture_vectors(encoder, a_prime))


def text_delta(encoder: DeltaEncoder, cap_a: Sequence[str], cap_a_prime: Sequence[str]) -> Tensor:
    """Eq 3: D_txt = E_T(cap_A') - E_T(cap_A), the mean over one difference's pairs: [d]."""
    return _mean_difference(text_vectors(encoder, cap_a), text_vectors(encoder, cap_a_prime))


def reads_texts(encoder: DeltaEncoder) -> bool:
    """Whether a delta encoder has a text side."""
    return bool(getattr(encoder, "reads_texts", True))


@dataclass(frozen=True)
class Deltas:
    """A difference's directions in the joint space, unit vectors [d] or zeros: that of the pictures
    alone (Eq 2), and D_inter (Eq 4); and warnings."""

    image: Tensor
    inter: Tensor
    warnings: tuple[str, ...] = ()


def deltas(
    encoder: DeltaEncoder,
    pictures: tuple[Sequence[Image], Sequence[Image]],
    captions: tuple[Sequence[str], Sequence[str]],
    alpha: float,
) -> Deltas:
    """Eq 2-4 for one difference's pairs, given as (every A, every A'). For an encoder that reads no
    texts D_inter is the pictures' direction."""
    d_img = image_delta(encoder, *pictures)
    if reads_texts(encoder):
        d_txt = text_delta(encoder, *captions)
        check_width(encoder, d_img, len(d_txt), "those for texts")
        d_inter, warning = interpolated_delta(d_img, d_txt, alpha)
    else:
        d_txt = torch.zeros_like(d_img)
        d_inter = F.normalize(d_img, dim=-1)
        warning = (
            f"The delta encoder {encoder.id!r} reads no texts; the delta is taken from the pictures"
            " alone."
        )
    found = (warning, faint_warning(d_img, d_txt))
    warnings = tuple(text for text in found if text)
    return Deltas(F.normalize(d_img, dim=-1), d_inter, warnings)


def _mean_difference(before: Tensor, after: Tensor) -> Tensor:
    """Mean of the differences of unit vectors; exactly zero if only rounding is left."""
    difference = (F.normalize(after, dim=-1) - F.normalize(before, dim=-1)).mean(0)
    return difference if difference.norm() > NO_DELTA else torch.zeros_like(difference)


def slerp(start: Tensor, end: Tensor, alpha: float) -> Tensor:
    """Eq 4 on the unit sphere: [..., d] and [..., d] to unit vectors [..., d].

    Both ends are normalised first. Nearly parallel ends are interpolated linearly. Antipodal
    ends span no plane: the path then runs through a fixed direction orthogonal to them, made from
    the coordinate axis they are least aligned with. ``alpha`` 0 gives the start, 1 the end.
    """
    start, end = F.normalize(start, dim=-1), F.normalize(end, dim=-1)
    cosine = (start * end).sum(-1, keepdim=True).clamp(-1, 1)
    theta = torch.atan2((end - cosine * start).norm(dim=-1, keepdim=True), cosine)
    sine = torch.sin(theta).clamp_min(1e-12)
    arc = (torch.sin((1 - alpha) * theta) * start + torch.sin(alpha * theta) * end) / sine
    line = F.normalize((1 - alpha) * start + alpha * end, dim=-1)
    turn = torch.cos(alpha * torch.pi * torch.ones_like(theta)) * start
    turn = turn + torch.sin(alpha * torch.pi * torch.ones_like(theta)) * _orthogonal(start)
    result = torch.where(theta < _PARALLEL, line, arc)
    return torch.where(theta > torch.pi - _PARALLEL, turn, result)


def _orthogonal(unit: Tensor) -> Tensor:
    """A unit vector orthogonal to each of ``unit``, made from the axis it is least aligned with."""
    axis = F.one_hot(unit.abs().argmin(-1), unit.shape[-1]).to(unit)
    return F.normalize(axis - (axis * unit).sum(-1, keepdim=True) * unit, dim=-1)


def faint_warning(d_img: Tensor, d_txt: Tensor) -> str | None:
    """One sentence if the encoder sees next to no difference, but not quite none."""
    lengths = {"pictures": float(d_img.norm()), "captions": float(d_txt.norm())}
    faint = [f"the {name} ({length:.3f})" for name, length in lengths.items() if _faint(length)]
    if not faint:
        return None
    return (
        f"The encoder sees next to no difference between {' and between '.join(faint)} of A and A′;"
        " choose a pair that differs more clearly, or captions that say what changes."
    )


def _faint(length: float) -> bool:
    return 0 < length < FAINT_DELTA


def interpolated_delta(d_img: Tensor, d_txt: Tensor, alpha: float) -> tuple[Tensor, str | None]:
    """Eq 4 with its degenerate cases: D_inter [d] (a unit vector) and a warning, if any.

    A zero delta carries no direction; the other one is then used alone. If both are zero, D_inter
    is zero and the clip loss has no gradient.
    """
    has_img, has_txt = bool(d_img.norm() > 0), bool(d_txt.norm() > 0)
    if has_img and has_txt:
        return slerp(d_img, d_txt, alpha), None
    if has_img:
        return F.normalize(d_img, dim=-1), (
            "The captions of A and A′ say the same; the delta is taken from the pictures alone."
        )
    if has_txt:
        return F.normalize(d_txt, dim=-1), (
            "The encoder sees no difference between A and A′; the delta is taken from the"
            " captions alone."
        )
    return torch.zeros_like(d_img), (
        "Neither the pictures nor the captions of A and A′ differ for the encoder; only the"
        " token consistency loss guides the tokens."
    )
