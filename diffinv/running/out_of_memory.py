"""What is done where a device's memory runs out while a difference is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import DiffinvError
from .progress import Meter

if TYPE_CHECKING:
    from ..contracts import Backbone

T = TypeVar("T")


def with_room(work: Callable[[Backbone], T], backbone: Backbone, meter: Meter) -> T:
    """``work`` with the backbone; once, where memory runs out, again with its batches halved.

    Raises DiffinvError with advice where that is not enough.
    """
    import torch

    from ..method.halving import halved

    try:
        return work(backbone)
    except torch.OutOfMemoryError:
        pass  # what was computed is held by the error, and let go of with it
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
    """Free what the failed attempt has left on the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
