"""Masks that say where pictures may change: one for all, or a folder with one for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from PIL import Image

from ..errors import DiffinvError, UsageError
from ..system.text import path_text
from .reading import list_images, open_image

MASKS = "masks"
"""The folder beside the results in which the masks that were used are saved."""


@dataclass(frozen=True)
class Masks:
    """``place`` is a picture, or a folder in which each mask has its picture's name (with any
    suffix) and place; ``roots`` are the folders of pictures."""

    place: Path
    roots: Sequence[Path] = ()

    def check(self) -> None:
        """Raise UsageError if there is no such picture or folder."""
        if not self.place.exists():
            raise UsageError(f"The mask {path_text(self.place)} does not exist; check the path.")
        if self.place.is_file():
            open_image(self.place)

    def find(self, picture: Path) -> Path | None:
        """The mask of a picture, None if the folder has none for it."""
        if not self.place.is_dir():
            return self.place
        inside = (root for root in self.roots if picture.is_relative_to(root))
        root = next(inside, picture.parent)
        return self._by_name.get(picture.relative_to(root).with_suffix(""))

    def read(self, picture: Path, size: tuple[int, int]) -> Image.Image:
        """A picture's mask (L, white where it may change) at the picture's size. Raises
        DiffinvError if there is none, or one of another shape."""
        path = self.find(picture)
        if path is None:
            raise DiffinvError(
                f"There is no mask for {path_text(picture)} in {path_text(self.place)}; add "
                f"{picture.stem + '.png'!r} there, white where the picture may change."
            )
        return fitted(open_image(path), size, f"The mask {path_text(path)}")

    @cached_property
    def _by_name(self) -> dict[Path, Path]:
        found = list_images(self.place)
        return {path.relative_to(self.place).with_suffix(""): path for path in found}


def fitted(mask: Image.Image, size: tuple[int, int], called: str) -> Image.Image:
    """A mask (L) at its picture's size. Raises UsageError if it is of another shape by more than
    1 %; ``called`` begins that sentence."""
    if abs(mask.width * size[1] - mask.height * size[0]) > 0.01 * mask.width * size[1]:
        raise UsageError(
            f"{called} is {mask.width} x {mask.height} pixels and its picture {size[0]} x "
            f"{size[1]}; make their shapes alike."
        )
    grey = mask.convert("L")
    return grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR)
