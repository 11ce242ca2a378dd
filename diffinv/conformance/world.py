"""What a world of known answers promises: see :class:`diffinv.contracts.World`."""

from __future__ import annotations

import numpy as np

from ..contracts import Triplet, World
from .kit import Check, require

_COUNT = 3


def _triplets(world: World, seed: int = 0) -> list[Triplet]:
    return list(world.triplets(_COUNT, seed, world.cases[0]))


def it_gives_triplets(world: World) -> None:
    """It gives as many triplets as asked for, each with an id of its own and its true answer."""
    found = _triplets(world)
    require(len(found) == _COUNT, f"it gives {len(found)} triplets for {_COUNT}")
    require(len({one.id for one in found}) == _COUNT, "two triplets have one id")
    require(all(one.b_prime is not None for one in found), "a triplet has no true answer")


def the_seed_decides(world: World) -> None:
    """The same seed gives the same triplets."""
    for first, second in zip(_triplets(world), _triplets(world), strict=True):
        same = np.array_equal(np.asarray(first.b), np.asarray(second.b))
        require(same and first.id == second.id, "two triplets for one seed")


def the_truth_is_right(world: World) -> str:
    """Its judge finds most true answers right, scores within 0 and 1, and B itself wrong."""
    right = wrong = 0.0
    for one in _triplets(world):
        assert one.b_prime is not None
        true, copy = world.judge(one, [one.b_prime, one.b])
        require("right" in true, "its scores have no 'right'")
        require(all(0 <= v <= 1 for v in true.values()), f"{dict(true)} is not within 0 and 1")
        right, wrong = right + true["right"], wrong + copy["right"]
    require(right > wrong, f"{right:g} of {_COUNT} true answers are right, {wrong:g} copies of B")
    return f"{right:g} of {_COUNT} right"


CHECKS: list[Check] = [it_gives_triplets, the_seed_decides, the_truth_is_right]
