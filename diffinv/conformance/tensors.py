"""Shared by several kits: checks of tensors, and pictures to try a part on."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .kit import require


def example_images(side: int) -> list[Image.Image]:
    """Two plain pictures that are easy to tell apart: a sunrise and a green disc at night."""
    y, x = np.mgrid[0:side, 0:side] / max(1, side - 1)
    sunrise = np.stack([0.9 - 0.3 * y, 0.7 - 0.4 * y, 0.3 + 0.3 * x], axis=-1)
    disc = ((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09)[..., None]
    night = np.where(disc, (0.2, 0.8, 0.3), (0.05, 0.05, 0.2))
    return [Image.fromarray((p * 255).round().astype(np.uint8)) for p in (sunrise, night)]


def noise(shape: torch.Size | tuple[int, ...], seed: int = 0) -> Tensor:
    """Gaussian noise, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check_tensor(value: object, what: str, shape: tuple[int | None, ...]) -> Tensor:
    """Require a finite float32 tensor of a shape (None: any length) that needs no gradient."""
    require(isinstance(value, Tensor), f"{what} is a {type(value).__name__}, not a tensor")
    assert isinstance(value, Tensor)
    fits = value.ndim == len(shape) and all(
        wanted in (None, found) for wanted, found in zip(shape, value.shape, strict=False)
    )
    wanted = [("any" if length is None else length) for length in shape]
    require(fits, f"{what} has the shape {list(value.shape)}, not {wanted}")
    require(value.dtype == torch.float32, f"{what} is {value.dtype}, not float32")
    require(bool(torch.isfinite(value).all()), f"{what} has values that are not finite")
    return value


def check_detached(value: Tensor, what: str) -> None:
    """Refuse a tensor that still has an autograd graph."""
    require(not value.requires_grad, f"{what} holds a gradient; make it without (torch.no_grad)")


def distance(one: Tensor, other: Tensor) -> float:
    """The largest deviation, as a share of the larger values."""
    one, other = one.detach(), other.detach()
    scale = max(float(one.abs().max()), float(other.abs().max()), 1e-12)
    return float((one - other).abs().max()) / scale


def check_same(one: Tensor, other: Tensor, otherwise: str, tolerance: float = 0.0) -> None:
    """Refuse tensors that differ by more than ``tolerance``, a share of their values."""
    require(
        one.shape == other.shape, f"{otherwise} (shapes {list(one.shape)}, {list(other.shape)})"
    )
    by = distance(one, other)
    require(by <= tolerance, f"{otherwise} (they differ by {by:.1e} of their size)")
