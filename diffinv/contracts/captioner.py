"""A model that describes pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image


class Captioner(Protocol):
    """Describes pictures."""

    id: str

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One sentence per picture (RGB, any size). The same picture gives the same sentence."""
