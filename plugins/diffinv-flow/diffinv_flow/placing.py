"""Which parts of a model are on the device when."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Part = TypeVar("Part", bound=nn.Module)


class Places:
    """Parts of a model, all of them on the device or, with ``alone``, the one at work, the others
    waiting on the CPU."""

    def __init__(self, device: torch.device, alone: bool) -> None:
        self._device, self._alone = device, alone
        self._here: nn.Module | None = None

    def take(self, part: Part) -> Part:
        """A new part, which is on the CPU, to where it stays while it has nothing to do."""
        return part if self._alone else part.to(self._device)

    def bring(self, part: Part) -> Part:
        """A part to the device."""
        if self._alone and part is not self._here:
            if self._here is not None:
                self._here.to("cpu")
            self._here = part.to(self._device)
        return part
