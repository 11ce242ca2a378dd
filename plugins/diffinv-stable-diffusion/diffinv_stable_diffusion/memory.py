"""How much memory a model will take, and what to do if that is too much.

``DIFFINV_MEMORY`` is ``high`` (everything stays on the device), ``low`` (gradient checkpointing,
slices and tiles in the autoencoder, text encoders kept off the GPU) or ``auto``: high if it fits,
else low.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diffinv.contracts import Use
from diffinv.errors import DiffinvError, UsageError

from .sources import Source

if TYPE_CHECKING:
    import torch

VARIABLE = "DIFFINV_MEMORY"
SETTINGS = ("auto", "low", "high")
TILE = 512
"""The side in pixels of the autoencoder's tiles when memory is low."""

_CHECKPOINTED = 0.18
"""The share of activations left with gradient checkpointing, or without gradients."""

_PIXEL = 6_000
"""Bytes the autoencoder takes per pixel decoded at once, in float32."""

_LIBRARIES = 700_000_000
"""Bytes of a CPU process that has loaded torch, diffusers and transformers but no model."""


@dataclass(frozen=True)
class MemoryPlan:
    """What is decided before loading. ``peak`` is the expected peak on the device, in bytes."""

    dtype: torch.dtype
    low: bool
    peak: int


def plan_memory(source: Source, device: torch.device, dtype: torch.dtype | None) -> MemoryPlan:
    """The plan for a source on a device, according to :data:`VARIABLE`.

    Raises UsageError for an unknown setting, DiffinvError if the model does not fit.
    """
    setting = _setting(None)
    dtype = dtype or default_dtype(device)
    free = free_bytes(str(device))
    low, peak = _choose(source, device.type, dtype.itemsize, setting, free)
    if free is not None and peak > free:
        raise DiffinvError(_too_little(source, device, peak, free, setting))
    return MemoryPlan(dtype, low, peak)


def expectation(source: Source, use: Use) -> str:
    """One line before loading: the expected peak, and what is free. No torch needed."""
    kind = use.device.partition(":")[0]
    item = 2 if kind == "cuda" else 4
    free = free_bytes(use.device)
    low, peak = _choose(source, kind, item, _setting(use.memory), free)
    if not use.learning:
        peak = expected_peak(source, kind, item, low, use.pictures)
    line = f"{source.family.id} on {use.device}: expects {peak / 1e9:.1f} GB at its peak "
    line += f"({'low' if low else 'high'} memory)"
    return line if free is None else f"{line}, {free / 1e9:.1f} GB free"


def _setting(asked: str | None) -> str:
    setting = asked or os.environ.get(VARIABLE, "").strip().lower() or "auto"
    if setting not in SETTINGS:
        raise UsageError(f"{VARIABLE} is one of {', '.join(SETTINGS)}, not {setting!r}.")
    return setting


def _choose(
    source: Source, kind: str, item: int, setting: str, free: int | None
) -> tuple[bool, int]:
    """Whether to save memory, and the peak of learning with that choice."""
    high = expected_peak(source, kind, item, low=False)
    if setting == "high" or (setting == "auto" and (free is None or high <= free)):
        return False, high
    return True, expected_peak(source, kind, item, low=True)


def default_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 if a GPU computes in it, else float32; float16 turns some pictures black."""
    import torch

    capable = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if capable else torch.float32


def expected_peak(
    source: Source, kind: str, item: int, low: bool, pictures: int | None = None
) -> int:
    """An estimate of the peak memory on a kind of device (``cpu``, ``cuda``), in bytes.

    The weights, ``item`` bytes each, plus the larger of the denoiser's and the autoencoder's
    activations: for a learning step or, with ``pictures``, for making that many at once.
    """
    counts = source.parameters
    texts = sum(count for part, count in counts.items() if part.startswith("text_encoder"))
    weights = counts["unet"] * item + counts["vae"] * 4
    weights += 0 if low and kind != "cpu" else texts * item
    weights += _LIBRARIES if kind == "cpu" else 0
    pixels = resolution(source) ** 2
    factor = vae_factor(source) ** 2
    # Two rows per pair or picture: before and after, or with and without the prompt.
    rows = 2 * (pictures or 1)
    denoising = rows * pixels / factor * source.family.activations * item / 4
    denoising *= _CHECKPOINTED if low or pictures else 1
    picture = _PIXEL * (min(pixels, TILE**2) if low else pixels * (pictures or 1))
    return int(weights + max(denoising, picture))


def vae_factor(source: Source) -> int:
    """The width of a latent pixel in pixels."""
    return int(2 ** (len(source.config("vae")["block_out_channels"]) - 1))


def resolution(source: Source) -> int:
    """The side of the model's pictures in pixels."""
    return int(source.config("unet")["sample_size"]) * vae_factor(source)


def free_bytes(device: str) -> int | None:
    """Free memory of a device in bytes; None if unknown."""
    if device.startswith("cuda"):
        torch = sys.modules.get("torch")
        return int(torch.cuda.mem_get_info(device)[0]) if torch else _free_by_driver(device)
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return None
    return None


def _free_by_driver(device: str) -> int | None:
    """A GPU's free memory, without torch."""
    import pynvml

    index = int(device.partition(":")[2] or 0)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    with contextlib.suppress(pynvml.NVMLError, IndexError, ValueError):
        pynvml.nvmlInit()
        try:
            name = visible.split(",")[index].strip() if visible else str(index)
            if name.startswith(("GPU-", "MIG-")):
                handle = pynvml.nvmlDeviceGetHandleByUUID(name)
            else:
                handle = pynvml.nvmlDeviceGetHandleByIndex(int(name))
            return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
        finally:
            pynvml.nvmlShutdown()
    return None


def _too_little(source: Source, device: torch.device, peak: int, free: int, setting: str) -> str:
    advice = "use --memory low" if setting == "high" else "close other programs"
    return (
        f"The model {source.name!r} needs about {peak / 1e9:.1f} GB on {device} and "
        f"{free / 1e9:.1f} GB are free; {advice} or choose a smaller backbone."
    )
