"""Finds the device a job will run on, without loading torch."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache

from ..errors import UsageError
from ..system.text import plural, text_safe

_NAME = re.compile(r"(cpu|cuda|mps|xpu)(:\d{1,3})?")
_NO_DRIVER = ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded")


def device_key(device: str | None) -> str:
    """The device's full name; None means the best available. Each device has its own worker."""
    name = (_best() if device is None else device).strip().casefold()
    kind = name.partition(":")[0]
    if kind in ("cpu", "mps"):  # there is only one: cpu:1 is the same
        return kind
    return "cuda:0" if name == "cuda" else name


@lru_cache(maxsize=1)
def _best() -> str:
    if _has_nvidia():
        return "cuda"
    return "mps" if (sys.platform, platform.machine()) == ("darwin", "arm64") else "cpu"


def check_device(device: str | None) -> None:
    """Refuse a name that no device can have, on this or any other machine."""
    if device is not None and not _NAME.fullmatch(device_key(device)):
        raise UsageError(
            f"{text_safe(device)!r} is not a device: name cpu, cuda, cuda:1 (the second GPU) or "
            "mps; 'diffinv doctor' lists the devices here."
        )


@dataclass(frozen=True)
class Device:
    """A possible device: ``key`` is its full name, ``wanted`` what was asked for."""

    key: str
    wanted: str | None
    warnings: tuple[str, ...]


def find_device(wanted: str | None) -> Device:
    """What is known about a device without torch. Raises UsageError for an impossible name."""
    check_device(wanted)
    return Device(device_key(wanted), wanted, device_warnings(wanted))


def device_warnings(device: str | None) -> tuple[str, ...]:
    """A sentence if the driver knows of no such GPU; torch may know better, as with ROCm."""
    kind, _, number = device_key(device).partition(":")
    count = _nvidia_gpus() if device is not None and kind == "cuda" else None
    if count is None or int(number) < count:
        return ()
    found = f"only {plural(count, 'GPU')}" if count else "no GPU"
    return (
        f"The NVIDIA driver knows of {found} here, so {device_key(device)!r} may not work; "
        "'diffinv doctor' lists the devices here.",
    )


def _has_nvidia() -> bool:
    return bool(_nvidia_gpus())


def _nvidia_gpus() -> int | None:
    """How many NVIDIA GPUs can be used; None if there is no way to tell."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown in ("", "-1"):
        return 0
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        try:
            count = int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except Exception as error:  # no driver, or one that does not answer
        return 0 if type(error).__name__ in _NO_DRIVER else None
    return count if shown is None else min(count, len(shown.split(",")))
