"""The diorama world: what a scene is made of, which edits exist, which combinations are held out.

A scene is one value for each attribute in :data:`ATTRIBUTES`. Everything else in a picture
(position, size, hue, the shape of the hills, the clouds) comes from a *layout seed*, so that a
picture and its edited partner differ in one attribute and nothing else.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Literal

import numpy as np

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "building": ("cabin", "castle", "windmill", "lighthouse", "church"),
    "colour": ("red", "blue", "yellow", "purple"),
    "time": ("day", "sunset", "night"),
    "ground": ("grass", "sand", "snow"),
    "backdrop": ("mountains", "forest", "sea"),
    "sky": ("none", "rainbow", "balloon", "moon"),
    "detail": ("none", "flag", "lit"),
}
"""Every attribute and its values: 5 x 4 x 3 x 3 x 3 x 4 x 3 = 6,480 combinations."""

EDIT_TYPES: tuple[str, ...] = (
    "swap",
    "recolour",
    "light",
    "ground",
    "backdrop",
    "add",
    "remove",
    "detail",
)
"""The kinds of edit an analogy can ask for; see :func:`edits_of`."""

HELD_OUT_SHARE = 0.05


@dataclass(frozen=True, order=True)
class Scene:
    """One combination of attribute values. Values are those of :data:`ATTRIBUTES`."""

    building: str
    colour: str
    time: str
    ground: str
    backdrop: str
    sky: str
    detail: str

    def __post_init__(self) -> None:
        for name, values in ATTRIBUTES.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}")

    def with_value(self, attribute: str, value: str) -> Scene:
        """The same scene with one attribute changed."""
        return replace(self, **{attribute: value})

    def labels(self) -> tuple[int, ...]:
        """The index of each value within its attribute, in the order of :data:`ATTRIBUTES`."""
        return tuple(values.index(getattr(self, name)) for name, values in ATTRIBUTES.items())

    @classmethod
    def from_labels(cls, labels: tuple[int, ...] | list[int]) -> Scene:
        """The inverse of :meth:`labels`."""
        pairs = zip(ATTRIBUTES.values(), labels, strict=True)
        return cls(*(values[int(i)] for values, i in pairs))


@dataclass(frozen=True)
class Edit:
    """A change of one attribute from one value to another."""

    kind: str
    attribute: str
    before: str
    after: str


@dataclass(frozen=True)
class Analogy:
    """A : A' :: B : B'. Scenes with the layout seeds that draw them; B' shares B's seed, and A' A's
    unless it has its own. ``second`` is a change beside ``edit``, None for none. ``captions`` says
    who describes A and A': the captioner (``own``), or see :data:`.cases.CASES`."""

    edit: Edit
    a: Scene
    a_prime: Scene
    b: Scene
    b_prime: Scene
    seed_a: int
    seed_b: int
    seed_a_prime: int | None = None
    second: Edit | None = None
    captions: Literal["own", "silent", "mistaken"] = "own"

    @property
    def attributes(self) -> tuple[str, ...]:
        """What changes."""
        return tuple(edit.attribute for edit in (self.edit, self.second) if edit)


def all_scenes() -> Iterator[Scene]:
    """Every combination, in a fixed order."""
    for values in itertools.product(*ATTRIBUTES.values()):
        yield Scene(*values)


def is_held_out(scene: Scene) -> bool:
    """Whether a combination is kept out of all training (about 5 %, by hash)."""
    text = "/".join(getattr(scene, f.name) for f in fields(scene))
    digest = hashlib.sha256(f"diorama:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < HELD_OUT_SHARE


def training_scenes() -> list[Scene]:
    """The combinations that may be trained on."""
    return [s for s in all_scenes() if not is_held_out(s)]


@cache
def held_out_scenes() -> tuple[Scene, ...]:
    """The combinations no model has ever been trained on."""
    return tuple(s for s in all_scenes() if is_held_out(s))


def edits_of(kind: str) -> list[Edit]:
    """All edits of one type.

    ``swap`` changes the building, ``recolour`` its colour, ``light`` the time of day, ``ground``
    and ``backdrop`` the land; ``add`` and ``remove`` concern the thing in the sky; ``detail`` is
    a flag or lit windows, small things that appear.
    """
    whole = {
        "swap": "building",
        "recolour": "colour",
        "light": "time",
        "ground": "ground",
        "backdrop": "backdrop",
    }
    if kind in whole:
        attribute = whole[kind]
        pairs = itertools.permutations(ATTRIBUTES[attribute], 2)
        return [Edit(kind, attribute, before, after) for before, after in pairs]
    if kind in ("add", "remove"):
        things = ATTRIBUTES["sky"][1:]
        ends = [("none", x) if kind == "add" else (x, "none") for x in things]
        return [Edit(kind, "sky", before, after) for before, after in ends]
    if kind == "detail":
        return [Edit(kind, "detail", "none", x) for x in ATTRIBUTES["detail"][1:]]
    raise ValueError(f"unknown edit type {kind!r}: choose from {', '.join(EDIT_TYPES)}")


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene with every value drawn uniformly (held out or not)."""
    return Scene(*(str(rng.choice(values)) for values in ATTRIBUTES.values()))


def _different_in_all_else(b: Scene, edit: Edit, rng: np.random.Generator) -> Scene:
    """A scene that shares only the edited attribute's value with ``b``."""
    values = {}
    for name, choices in ATTRIBUTES.items():
        others = [v for v in choices if v != getattr(b, name)]
        values[name] = edit.before if name == edit.attribute else str(rng.choice(others))
    return Scene(**values)


def analogies(count: int, seed: int, kinds: tuple[str, ...] = EDIT_TYPES) -> list[Analogy]:
    """``count`` random analogies whose B and B' are held-out combinations.

    Edit types take turns, so that all are equally frequent. A differs from B in every attribute
    but the edited one, whose value they share.
    """
    rng = np.random.default_rng(seed)
    held_out = set(held_out_scenes())
    pools = {kind: _held_out_pairs(kind, held_out) for kind in kinds}
    made = []
    for i in range(count):
        pool = pools[kinds[i % len(kinds)]]
        edit, b = pool[int(rng.integers(len(pool)))]
        a = _different_in_all_else(b, edit, rng)
        seed_a, seed_b = (int(x) for x in rng.integers(2**31, 2**32, size=2))
        made.append(
            Analogy(
                edit=edit,
                a=a,
                a_prime=a.with_value(edit.attribute, edit.after),
                b=b,
                b_prime=b.with_value(edit.attribute, edit.after),
                seed_a=seed_a,
                seed_b=seed_b,
            )
        )
    return made


def _held_out_pairs(kind: str, held_out: set[Scene]) -> list[tuple[Edit, Scene]]:
    """Every (edit, B) of one type for which both B and B' are held out."""
    return [
        (edit, b)
        for edit in edits_of(kind)
        for b in sorted(held_out)
        if getattr(b, edit.attribute) == edit.before
        and b.with_value(edit.attribute, edit.after) in held_out
    ]
