"""How much memory a model is going to take, and what is done where that is too much.

``DIFFINV_MEMORY`` is ``high`` (everything stays on the device), ``low`` (gradient checkpointing,
slices and tiles in the autoencoder, the text encoders away from the GPU) or ``auto``: high where
it fits, else low.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffinv.errors import DiffinvError, UsageError

from .sources import Source

if TYPE_CHECKING:
    import torch

VARIABLE = "DIFFINV_MEMORY"
SETTINGS = ("auto", "low", "high")
TILE = 512
"""The side in pixels of the tiles that the autoencoder works in where memory is low."""

_ROWS = 2
"""Rows of a training step: the before and the after branch of one pair."""

_CHECKPOINTED = 0.18
"""The share of activations that gradient checkpointing leaves."""

_PIXEL = 6_000
"""Bytes that the autoencoder takes for each pixel that it decodes at once, in float32."""


@dataclass(frozen=True)
class MemoryPlan:
    """What is decided before loading. ``peak`` is the expected one on the device, in bytes."""

    dtype: torch.dtype
    low: bool
    peak: int


def plan_memory(source: Source, device: torch.device, dtype: torch.dtype | None) -> MemoryPlan:
    """The plan for a source on a device, by :data:`VARIABLE`.

    Raises UsageError for an unknown setting and DiffinvError where the model does not fit.
    """
    setting = os.environ.get(VARIABLE, "").strip().lower() or "auto"
    if setting not in SETTINGS:
        raise UsageError(f"{VARIABLE} is one of {', '.join(SETTINGS)}, not {setting!r}.")
    dtype = dtype or default_dtype(device)
    free = free_bytes(device)
    choices = {"auto": (False, True), "low": (True,), "high": (False,)}[setting]
    for low in choices:
        peak = expected_peak(source, device, dtype.itemsize, low)
        if free is None or peak <= free:
            return MemoryPlan(dtype, low, peak)
    raise DiffinvError(_too_little(source, device, peak, free or 0, setting))


def default_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where a GPU computes in it, else float32; float16 turns some pictures black."""
    import torch

    capable = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if capable else torch.float32


def expected_peak(source: Source, device: torch.device, item: int, low: bool) -> int:
    """The most that learning a difference takes on the device, in bytes, by estimate.

    The weights, and the larger of a training step's activations and the autoencoder's.
    """
    counts = source.parameters
    texts = sum(count for part, count in counts.items() if part.startswith("text_encoder"))
    weights = counts["unet"] * item + counts["vae"] * 4
    weights += 0 if low and device.type != "cpu" else texts * item
    pixels = resolution(source) ** 2
    factor = vae_factor(source) ** 2
    training = _ROWS * pixels / factor * source.family.activations * item / 4
    training *= _CHECKPOINTED if low else 1
    picture = _PIXEL * (min(pixels, TILE**2) if low else pixels)
    return int(weights + max(training, picture))


def vae_factor(source: Source) -> int:
    """How many pixels a latent pixel is wide."""
    return int(2 ** (len(source.config("vae")["block_out_channels"]) - 1))


def resolution(source: Source) -> int:
    """The side of the model's pictures in pixels."""
    return int(source.config("unet")["sample_size"]) * vae_factor(source)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device in bytes; None where that cannot be found out."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    return None


def _too_little(source: Source, device: torch.device, peak: int, free: int, setting: str) -> str:
    advice = f"set {VARIABLE}=low" if setting == "high" else "close other programs"
    return (
        f"The model {source.name!r} needs about {peak / 1e9:.1f} GB on {device} and "
        f"{free / 1e9:.1f} GB are free; {advice} or choose a smaller backbone."
    )
