"""Analogies that are harder than the plain ones, as life makes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Literal, get_args

import numpy as np

from .world import (
    ATTRIBUTES,
    EDIT_TYPES,
    Analogy,
    Edit,
    Scene,
    analogies,
    edits_of,
    held_out_scenes,
)

Case = Literal["plain", "misaligned", "silent", "mistaken", "double", "hard"]
CASES: tuple[Case, ...] = get_args(Case)
"""``misaligned``: A and A' are drawn with different layouts, like a photograph taken twice.
``silent``: the captions of A and A' say "a picture". ``mistaken``: each of them has one attribute
wrong, never the edited one. ``double``: two attributes change at once. ``hard``: these four take
turns, with swaps, recolourings and light alone."""

HARD_KINDS = ("swap", "recolour", "light")
_TURNS: tuple[Case, ...] = ("misaligned", "silent", "mistaken", "double")


def analogies_of(
    case: Case, count: int, seed: int, kinds: tuple[str, ...] = EDIT_TYPES
) -> list[Analogy]:
    """``count`` random analogies of a case; those of ``plain`` are :func:`.world.analogies`."""
    if case == "hard":
        kinds = tuple(kind for kind in kinds if kind in HARD_KINDS) or HARD_KINDS
    rng = np.random.default_rng([9, seed])
    plain = analogies(count, seed, kinds)
    turns = itertools.cycle(_TURNS) if case == "hard" else itertools.repeat(case)
    return [_made(analogy, turn, rng) for analogy, turn in zip(plain, turns, strict=False)]


def _made(analogy: Analogy, case: Case, rng: np.random.Generator) -> Analogy:
    if case == "misaligned":
        return replace(analogy, seed_a_prime=int(rng.integers(2**31, 2**32)))
    if case == "double":
        return _double(analogy, rng)
    if case in ("silent", "mistaken"):
        return replace(analogy, captions=case)
    return analogy


def _double(analogy: Analogy, rng: np.random.Generator) -> Analogy:
    """The analogy with a second change, of another attribute; its B is another one, so that B' is
    held out, too."""
    pool = _double_pool(analogy.edit.kind)
    first, second, b = pool[int(rng.integers(len(pool)))]
    values = {
        name: str(rng.choice([v for v in choices if v != getattr(b, name)]))
        for name, choices in ATTRIBUTES.items()
    }
    shared = {edit.attribute: edit.before for edit in (first, second)}
    a = Scene(**(values | shared))
    return replace(
        analogy,
        edit=first,
        second=second,
        a=a,
        a_prime=_changed(a, (first, second)),
        b=b,
        b_prime=_changed(b, (first, second)),
    )


def _changed(scene: Scene, edits: Sequence[Edit]) -> Scene:
    for edit in edits:
        scene = scene.with_value(edit.attribute, edit.after)
    return scene


@cache
def _double_pool(kind: str) -> tuple[tuple[Edit, Edit, Scene], ...]:
    """Every (first edit, of one type, second edit, B) for which B and B' are held out."""
    held_out = held_out_scenes()
    known = set(held_out)
    seconds = [edit for other in EDIT_TYPES for edit in edits_of(other)]
    return tuple(
        (first, second, b)
        for first in edits_of(kind)
        for second in seconds
        if second.attribute != first.attribute
        for b in held_out
        if getattr(b, first.attribute) == first.before
        and getattr(b, second.attribute) == second.before
        and _changed(b, (first, second)) in known
    )


def mistaken(scene: Scene, attributes: Sequence[str], rng: np.random.Generator) -> Scene:
    """The scene with another value for one attribute, not among those given."""
    name = str(rng.choice([name for name in ATTRIBUTES if name not in attributes]))
    others = [value for value in ATTRIBUTES[name] if value != getattr(scene, name)]
    return scene.with_value(name, str(rng.choice(others)))
