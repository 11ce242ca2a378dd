"""A model that describes pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image


class Captioner(Protocol):
    """Describes pictures."""

    id: str

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One sentence per picture (RGB, any size). The same picture gives the same sentence."""


@runtime_checkable
class Conversant(Protocol):
    """What a captioner may be besides: a model that can be asked anything about pictures."""

    def ask(self, content: Sequence[str | Image]) -> str:
        """Its answer to texts and pictures (RGB, any size), in their order. The same question gets
        the same answer, as far as that is in its power. Raises DiffinvError if there is none."""
