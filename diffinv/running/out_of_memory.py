"""What to do when a device's memory runs out while a difference is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import DiffinvError
from .progress import Meter

if TYPE_CHECKING:
    from ..contracts import Backbone

T = TypeVar("T")


def with_room(work: Callable[[Backbone], T], backbone: Backbone, meter: Meter) -> T:
    """Do ``work`` with the backbone; if memory runs out, once more with its batches halved.

    Raises DiffinvError with advice if that is not enough.
    """
    import torch

    from ..method.halving import halved

    try:
        return work(backbone)
    except torch.OutOfMemoryError:
        pass  # the error holds what was computed, and releases it when it goes
    _free()
    meter.warn(f"{backbone.device} ran out of memory: batches are halved from now on.")
    try:
        return work(halved(backbone))
    except torch.OutOfMemoryError as error:
        raise DiffinvError(
            f"{backbone.device} ran out of memory with the batch halved; use --memory low, close "
            "other programs or choose a smaller backbone."
        ) from error


def _free() -> None:
    """Free what the failed attempt left on the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
