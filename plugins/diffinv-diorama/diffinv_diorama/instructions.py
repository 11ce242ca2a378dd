"""What people say when they want a diorama changed: "make the church a windmill"."""

from __future__ import annotations

import numpy as np

from .captions import phrases
from .world import ATTRIBUTES, Edit

_FORMS = {
    "building": ("make the {n} a {m}", "turn the {n} into a {m}", "replace the {n} with a {m}"),
    "colour": ("make it {c}", "paint it {c}", "change its colour from {b} to {c}"),
    "time": ("make it {p}", "show it {p}", "change the time so that it is {p}"),
    "ground": ("put it {p}", "make the ground look like it is {p}", "place it {p}"),
    "backdrop": ("put it {p}", "change what is behind so that it is {p}", "show it {p}"),
}
_ADDED = ("add {t}", "put in {t}", "show it {p}")
_REMOVED = ("remove {t}", "take away {t}", "leave out {t}")
_THINGS = {
    "rainbow": "a rainbow",
    "balloon": "a hot air balloon",
    "moon": "a full moon",
    "flag": "a flag",
    "lit": "lights in the windows",
}


def instruction(edit: Edit, rng: np.random.Generator) -> str:
    """An edit as an instruction, phrased at random: lower case, no final stop."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    if edit.after == "none":
        return pick(_REMOVED).format(t=_THINGS[edit.before])
    if edit.attribute == "colour":
        return pick(_FORMS["colour"]).format(b=edit.before, c=edit.after)
    said = pick(phrases(edit.attribute, edit.after))
    if edit.before == "none":
        return pick(_ADDED).format(t=_THINGS[edit.after], p=said)
    before = pick(phrases(edit.attribute, edit.before))
    return pick(_FORMS[edit.attribute]).format(n=before, m=said, p=said)


def every_edit() -> list[Edit]:
    """All changes of one attribute, those the edit types leave out too."""
    return [
        Edit("any", name, before, after)
        for name, values in ATTRIBUTES.items()
        for before in values
        for after in values
        if before != after and not (name in ("sky", "detail") and "none" not in (before, after))
    ]
