"""Pictures to tensors and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_tensor(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of the same size to [n, 3, h, w] float32 in [-1, 1]."""
    stacked = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_images(batch: Tensor) -> list[Image.Image]:
    """[n, 3, h, w] in [-1, 1] (clipped) to RGB pictures."""
    scaled = ((batch.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return [Image.fromarray(row) for row in scaled.permute(0, 2, 3, 1).cpu().numpy()]


def to_arrays(batch: Tensor) -> list[NDArray[np.float32]]:
    """[n, 3, h, w] in [-1, 1] (clipped) to arrays [h, w, 3] in [0, 1]."""
    scaled = (batch.float().clamp(-1, 1) + 1) / 2
    return list(scaled.permute(0, 2, 3, 1).cpu().numpy())


def masks_to_tensor(masks: Sequence[Image.Image]) -> Tensor:
    """Pictures of the same size, white for yes, to [n, 1, h, w] float32 in [0, 1]."""
    stacked = np.stack([np.asarray(mask.convert("L")) for mask in masks])
    return torch.from_numpy(stacked)[:, None].float() / 255
