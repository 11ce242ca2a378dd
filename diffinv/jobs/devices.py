"""Which device a job will run on, found without loading torch."""

from __future__ import annotations

import os
import platform
import sys
from functools import lru_cache


def device_key(device: str | None) -> str:
    """The device by its full name; None is the best there is. Each has a worker of its own."""
    name = (device or _best()).strip().casefold()
    return "cuda:0" if name == "cuda" else name


@lru_cache(maxsize=1)
def _best() -> str:
    if _has_nvidia():
        return "cuda"
    return "mps" if (sys.platform, platform.machine()) == ("darwin", "arm64") else "cpu"


def _has_nvidia() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            return bool(pynvml.nvmlDeviceGetCount() > 0)
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # no driver, no library: no such GPU
        return False
