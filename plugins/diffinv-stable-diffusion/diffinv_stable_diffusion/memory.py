"""How much memory a model will take, and what to do if that is too much.

With low memory (see :mod:`diffinv.system.memory`) there is gradient checkpointing, slices and tiles
in the autoencoder, and the text encoders are kept off the GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from diffinv.contracts import Use
from diffinv.system.memory import LIBRARIES, Choice, autoencoder_peak, choose, free_bytes

from .sources import Source

if TYPE_CHECKING:
    import torch

_CHECKPOINTED = 0.18
"""The share of activations left with gradient checkpointing, or without gradients."""


@dataclass(frozen=True)
class MemoryPlan:
    """What is decided before loading. ``peak`` is the expected peak on the device, in bytes."""

    dtype: torch.dtype
    low: bool
    peak: int


def plan_memory(source: Source, device: torch.device, dtype: torch.dtype | None) -> MemoryPlan:
    """The plan for a source on a device, according to what was asked for.

    Raises UsageError for an unknown setting, DiffinvError if the model does not fit.
    """
    dtype = dtype or default_dtype(device)
    choice = _choose(source, str(device), dtype.itemsize, None)
    choice.check(source.name, str(device))
    return MemoryPlan(dtype, choice.low, choice.peak)


def expectation(source: Source, use: Use) -> str:
    """One line before loading: the expected peak, and what is free. No torch needed."""
    item = 2 if use.device.startswith("cuda") else 4
    choice = _choose(source, use.device, item, use.memory)
    if not use.learning:
        peak = expected_peak(source, _kind(use.device), item, choice.low, use.pictures)
        choice = replace(choice, peak=peak)
    return choice.describe(source.family.id, use.device)


def _choose(source: Source, device: str, item: int, asked: str | None) -> Choice:
    """Whether to save memory, and the peak of learning with that choice."""
    high, low = (expected_peak(source, _kind(device), item, low) for low in (False, True))
    return choose(asked, high, low, free_bytes(device))


def _kind(device: str) -> str:
    return device.partition(":")[0]


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
    weights += LIBRARIES if kind == "cpu" else 0
    pixels = resolution(source) ** 2
    factor = vae_factor(source) ** 2
    # Two rows per pair or picture: before and after, or with and without the prompt.
    rows = 2 * (pictures or 1)
    family = source.family
    each = family.activations if kind == "cpu" else family.gpu_activations * 2
    denoising = rows * pixels / factor * each * item / 4
    denoising *= _CHECKPOINTED if low or pictures else 1
    return int(weights + max(denoising, autoencoder_peak(pixels, pictures or 1, low)))


def vae_factor(source: Source) -> int:
    """The width of a latent pixel in pixels."""
    return int(2 ** (len(source.config("vae")["block_out_channels"]) - 1))


def resolution(source: Source) -> int:
    """The side of the model's pictures in pixels."""
    return int(source.config("unet")["sample_size"]) * vae_factor(source)
