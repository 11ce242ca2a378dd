"""What a difference is learned from: pairs of pictures, and captions for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..pictures.framing import framing_warning, unlike_warning
from ..pictures.reading import named, pixel_hash, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..pictures.reading import Source


@dataclass(frozen=True)
class Lesson:
    """One difference to be learned.

    ``pictures`` has one (A, A′) per pair, RGB of any size. ``captions`` has one (caption of A, of
    A′) per pair, or is empty if the captioner is to write them. ``warnings`` are those about the
    pictures.
    """

    name: str
    pictures: tuple[tuple[Image, Image], ...]
    captions: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_lesson(
    name: str,
    pairs: Sequence[tuple[Source, Source]],
    captions: Sequence[tuple[str, str]] = (),
    tags: Sequence[str] = (),
) -> Lesson:
    """Read every picture. Raises DiffinvError or UsageError for the first problem."""
    if not pairs:
        raise UsageError("Give at least one pair of pictures.")
    if captions and len(captions) != len(pairs):
        raise UsageError("Captions by hand have to be given for every pair.")
    pictures, warnings = [], []
    for source, source_prime in pairs:
        a, a_prime = read_picture(source, "A"), read_picture(source_prime, "A′")
        if pixel_hash(a) == pixel_hash(a_prime):
            raise UsageError(
                f"A and A′ are the same picture: there is no difference to learn from "
                f"{named(source, 'A')} and {named(source_prime, 'A′')}."
            )
        warnings += [w for w in (framing_warning(a, a_prime), unlike_warning(a, a_prime)) if w]
        pictures.append((a, a_prime))
    return Lesson(name, tuple(pictures), tuple(captions), tuple(tags), tuple(warnings))
