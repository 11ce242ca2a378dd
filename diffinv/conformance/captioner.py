"""What a captioner promises: see :class:`diffinv.contracts.Captioner`."""

from __future__ import annotations

from ..contracts import Captioner
from ..system.text import text_safe
from .kit import Check, require
from .tensors import example_images


def it_has_an_id(captioner: Captioner) -> None:
    """id is a text."""
    require(isinstance(captioner.id, str) and bool(captioner.id), f"id is {captioner.id!r}")


def captions_are_one_line_each(captioner: Captioner) -> str:
    """caption gives a list with one line of plain text for each picture."""
    captions = captioner.caption(example_images(96))
    require(isinstance(captions, list), f"it gives a {type(captions).__name__}, not a list")
    require(len(captions) == 2, f"it gives {len(captions)} captions for 2 pictures")
    for caption in captions:
        require(isinstance(caption, str) and bool(caption.strip()), f"{caption!r} is not a caption")
        plain = text_safe(caption) == caption.strip()
        require(plain, f"{caption!r} holds line breaks or control characters")
    return " | ".join(captions)


def captions_repeat(captioner: Captioner) -> None:
    """The same picture gives the same caption, whatever else is in the batch."""
    first, second = example_images(96)
    together = captioner.caption([first, second])
    alone = [*captioner.caption([first]), *captioner.caption([second])]
    require(list(together) == alone, f"{together} together, {alone} one by one")


def any_size_is_taken(captioner: Captioner) -> None:
    """Pictures need no particular size or shape."""
    wide = example_images(64)[0].resize((150, 40))
    require(len(captioner.caption([wide, example_images(30)[0]])) == 2, "a caption is missing")


def nothing_is_nothing(captioner: Captioner) -> None:
    """No pictures give no captions."""
    found = captioner.caption([])
    require(found == [], f"no pictures give {found!r}")


CHECKS: list[Check] = [
    it_has_an_id,
    captions_are_one_line_each,
    captions_repeat,
    any_size_is_taken,
    nothing_is_nothing,
]
