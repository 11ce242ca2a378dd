"""What to do when a device's memory runs out while a difference is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..errors import DiffinvError
from .progress import Meter

if TYPE_CHECKING:
    from ..contracts import Backbone

T = TypeVar("T")


def with_room(
    work: Callable[[Backbone], T],
    backbone: Backbone,
    meter: Meter,
    make_room: Callable[[], bool] = lambda: False,
) -> T:
    """Do ``work`` with the backbone; if memory runs out, once more after ``make_room``, if that
    made any, and then with its batches halved.

    Raises DiffinvError with advice if that is not enough.
    """
    import torch

    from ..method.halving import halved

    try:
        return work(backbone)
    except torch.OutOfMemoryError:
        pass  # the error holds what was computed, and releases it when it goes
    if make_room():
        free_memory()
        meter.warn(
            f"{backbone.device} ran out of memory: what describes and compares the pictures leaves "
            "it, and works on the CPU."
        )
        try:
            return work(backbone)
        except torch.OutOfMemoryError:
            pass
    free_memory()
    meter.warn(f"{backbone.device} ran out of memory: batches are halved from now on.")
    try:
        return work(halved(backbone))
    except torch.OutOfMemoryError as error:
        raise DiffinvError(
            f"{backbone.device} ran out of memory with the batch halved; use --memory low, close "
            "other programs or choose a smaller backbone."
        ) from error


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether a device's memory ran out."""
    import torch

    return isinstance(error, torch.OutOfMemoryError)


def free_memory() -> None:
    """Free what a failed attempt left on the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
