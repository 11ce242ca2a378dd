"""The space in which deltas are taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


class DeltaEncoder(Protocol):
    """The joint space of pictures and texts: E_I and E_T of the paper.

    ``space`` is the joint space's id; it must equal the backbone's ``joint_space``. An encoder for
    pictures only has ``reads_texts = False`` and an ``encode_texts`` that raises UsageError; its
    deltas come from the pictures alone.

    An encoder may have a ``vocabulary``, a sequence of the words it knows, the most common first:
    differences are then described by the nearest of them, and prompts of B that contradict a
    difference are reworded with them. And it may have its text tower's ``text_projection``, a
    matrix [width, d], for backbones whose checkpoints lack it.
    """

    id: str
    space: str

    def encode_images(self, images: Sequence[Image]) -> Tensor:
        """E_I: [n, d] float32."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """E_T: [n, d] float32."""
