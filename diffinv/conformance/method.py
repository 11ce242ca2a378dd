"""What a method of comparison promises: see :class:`diffinv.contracts.Method`."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from ..contracts import Method, Triplet
from .kit import Check, require

_SIDE = 96


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


CHECKS: list[Check] = [it_gives_a_picture, the_seed_decides]
