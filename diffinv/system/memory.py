"""A device's memory: what is free, what was asked for, and what is said about it. No torch needed.

``DIFFINV_MEMORY`` is ``high`` (everything stays on the device), ``low`` (slower, with less) or
``auto``: high if it fits, else low.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DiffinvError, UsageError

VARIABLE = "DIFFINV_MEMORY"
SETTINGS = ("auto", "low", "high")

LIBRARIES = 700_000_000
"""Bytes of a CPU process that has loaded torch, diffusers and transformers but no model."""

TILE = 512
"""The side in pixels of an autoencoder's tiles when memory is low."""

_PIXEL = 6_000
"""Bytes an autoencoder of Stable Diffusion's kind takes per pixel at once, in float32."""


@dataclass(frozen=True)
class Choice:
    """Whether a model saves memory, its expected ``peak`` on a device, and what is ``free`` there,
    in bytes (None if unknown)."""

    low: bool
    peak: int
    free: int | None
    asked: str

    def check(self, name: str, device: str) -> None:
        """Raise DiffinvError if a model of this name does not fit."""
        if self.free is None or self.peak <= self.free:
            return
        advice = "use --memory low" if self.asked == "high" else "close other programs"
        raise DiffinvError(
            f"The model {name!r} needs about {self.peak / 1e9:.1f} GB on {device} and "
            f"{self.free / 1e9:.1f} GB are free; {advice} or choose a smaller backbone."
        )

    def describe(self, id: str, device: str) -> str:
        """One line for before a backbone is loaded."""
        line = f"{id} on {device}: expects {self.peak / 1e9:.1f} GB at its peak "
        line += f"({'low' if self.low else 'high'} memory)"
        return line if self.free is None else f"{line}, {self.free / 1e9:.1f} GB free"


def choose(asked: str | None, high: int, low: int, free: int | None) -> Choice:
    """Whether to save memory, by the expected peaks with and without it, and what is free.

    ``asked`` is one of :data:`SETTINGS`, or None for what :data:`VARIABLE` says. Raises UsageError
    for anything else.
    """
    setting = asked or os.environ.get(VARIABLE, "").strip().lower() or "auto"
    if setting not in SETTINGS:
        raise UsageError(f"{VARIABLE} is one of {', '.join(SETTINGS)}, not {setting!r}.")
    if setting == "high" or (setting == "auto" and (free is None or high <= free)):
        return Choice(False, high, free, setting)
    return Choice(True, low, free, setting)


def autoencoder_peak(pixels: int, pictures: int, low: bool) -> int:
    """Bytes that an autoencoder of Stable Diffusion's kind takes for so many pictures at once."""
    return _PIXEL * (min(pixels, TILE**2) if low else pixels * pictures)


def use_tiles(vae: Any, factor: int) -> None:
    """Let an autoencoder of diffusers' work picture by picture and tile by tile; ``factor`` is the
    width of its latent pixels in pixels."""
    vae.enable_slicing()
    vae.enable_tiling()
    vae.tile_sample_min_size = TILE
    vae.tile_latent_min_size = TILE // factor


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
