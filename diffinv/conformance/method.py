"""What a method of comparison promises: see :class:`diffinv.contracts.Method`."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ..contracts import ManyAtOnce, Method, Triplet
from .kit import Check, require

_SIDE = 96
_ROUNDING = 8
"""How far a picture made with others may be off, of 255 and on average."""


def _triplet() -> Triplet:
    """Four plain pictures with everything a method may need."""
    colours = {"a": "red", "a_prime": "blue", "b": "darkred", "b_prime": "darkblue"}
    pictures: dict[str, Any] = {
        name: Image.new("RGB", (_SIDE, _SIDE), colour) for name, colour in colours.items()
    }
    captions = {name: f"a {colour} wall" for name, colour in colours.items()}
    return Triplet("check", **pictures, instruction="make it blue", captions=captions)


def it_gives_a_picture(method: Method) -> str:
    """It answers a triplet with an RGB picture."""
    answer: object = method.complete(_triplet(), 0)
    require(isinstance(answer, Image.Image), f"it gives a {type(answer).__name__}, not a picture")
    assert isinstance(answer, Image.Image)
    require(answer.mode == "RGB", f"its picture is {answer.mode}, not RGB")
    return f"{answer.width} x {answer.height}"


def the_seed_decides(method: Method) -> None:
    """The same triplet and seed give the same picture, whatever was completed in between."""
    first = np.asarray(method.complete(_triplet(), 7))
    method.complete(_triplet(), 8)
    again = np.asarray(method.complete(_triplet(), 7))
    require(np.array_equal(first, again), "two answers for one seed")


def many_are_as_one(method: Method) -> str:
    """If it takes several triplets at once, each gets the picture it gets alone."""
    if not isinstance(method, ManyAtOnce):
        return "one at a time"
    alone = np.asarray(method.complete(_triplet(), 7), float)
    together = list(method.complete_many([_triplet()] * 3, 7))
    require(len(together) == 3, f"{len(together)} pictures for 3 triplets")
    for picture in together:
        require(picture.size == alone.shape[1::-1], "its pictures have other sizes together")
        off = float(np.abs(np.asarray(picture.convert("RGB"), float) - alone).mean())
        require(off <= _ROUNDING, f"together its picture is another: off by {off:.0f} of 255")
    return "several at once"


CHECKS: list[Check] = [it_gives_a_picture, the_seed_decides, many_are_as_one]
