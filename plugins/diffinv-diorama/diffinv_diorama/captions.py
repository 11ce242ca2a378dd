"""Captions of diorama scenes, in the varied phrasing and word order that people use.

A caption names every attribute that is present (nothing is said about an empty sky or a missing
detail). Synonyms, phrase order and the opening vary with the random generator, so words of a kind
have no fixed position.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from .world import ATTRIBUTES, Scene

_NOUN = {
    "cabin": ("cabin", "log cabin"),
    "castle": ("castle", "stone castle"),
    "windmill": ("windmill", "mill"),
    "lighthouse": ("lighthouse", "beacon tower"),
    "church": ("church", "chapel"),
}
_COLOUR = {
    "cabin": ("{c} {n}", "{n} with a {c} roof", "{n} painted {c}"),
    "castle": ("{c} {n}", "{n} with {c} towers", "{n} painted {c}"),
    "windmill": ("{c} {n}", "{n} with {c} sails", "{n} painted {c}"),
    "lighthouse": ("{c} {n}", "{n} with {c} stripes", "{n} painted {c}"),
    "church": ("{c} {n}", "{n} with a {c} roof", "{n} painted {c}"),
}
_TIME = {
    "day": ("by day", "in daylight", "under a blue sky", "at noon"),
    "sunset": ("at sunset", "in the evening", "under an orange sky", "at dusk"),
    "night": ("at night", "after dark", "under the stars", "at midnight"),
}
_GROUND = {
    "grass": ("on grass", "in a green meadow", "on a green field"),
    "sand": ("on sand", "in the desert", "on sandy ground"),
    "snow": ("in the snow", "on a snowy field", "on white snow"),
}
_BACKDROP = {
    "mountains": ("in front of mountains", "with mountains behind", "before snowy peaks"),
    "forest": ("in front of a forest", "with pine trees behind", "beside a dark forest"),
    "sea": ("by the sea", "with the ocean behind", "in front of the sea"),
}
_SKY = {
    "rainbow": ("with a rainbow", "under a rainbow", "and a rainbow above"),
    "balloon": ("with a hot air balloon", "and a balloon above", "below a flying balloon"),
    "moon": ("with a full moon", "under the moon", "and the moon above"),
}
_DETAIL = {
    "flag": ("with a flag", "beside a pink flag", "flying a flag"),
    "lit": ("with lit windows", "with glowing windows", "with its lights on"),
}
_PHRASES: tuple[Mapping[str, tuple[str, ...]], ...] = (
    *(_NOUN, _COLOUR, _TIME, _GROUND),
    *(_BACKDROP, _SKY, _DETAIL),
)
_OPENINGS = ("", "", "", "a picture of ", "a drawing of ", "a view of ")


def words() -> tuple[str, ...]:
    """Every word that captions are made of, openings apart."""
    every = [text for group in _PHRASES for texts in group.values() for text in texts]
    text = " ".join([*every, *ATTRIBUTES["colour"]])
    return tuple(sorted(set(re.findall(r"[a-z]+", re.sub(r"\{.\}", "", text)))))


_BY_ATTRIBUTE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "building": _NOUN,
    "time": _TIME,
    "ground": _GROUND,
    "backdrop": _BACKDROP,
    "sky": _SKY,
    "detail": _DETAIL,
}
_SMALL = {"a", "an", "at", "after", "and", "above", "before", "behind", "below", "beside", "by"} | {
    *("front", "full", "in", "its", "of", "on", "the", "under", "with"),
}


def phrases(attribute: str, value: str) -> tuple[str, ...]:
    """What captions say for a value; nothing for ``none`` and for colours."""
    return _BY_ATTRIBUTE[attribute].get(value, ())


def words_for(attribute: str, value: str) -> set[str]:
    """The words that captions have for a value, without the small ones; none for ``none``."""
    if attribute == "colour":
        return {value}
    return set(" ".join(phrases(attribute, value)).split()) - _SMALL


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A caption of ``scene``, phrased at random: lower case, no final stop."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    noun = pick(_NOUN[scene.building])
    subject = pick(_COLOUR[scene.building]).format(c=scene.colour, n=noun)
    said = [
        pick(_TIME[scene.time]),
        pick(_GROUND[scene.ground]),
        pick(_BACKDROP[scene.backdrop]),
    ]
    if scene.sky != "none":
        said.append(pick(_SKY[scene.sky]))
    if scene.detail != "none":
        said.append(pick(_DETAIL[scene.detail]))
    said = [said[i] for i in rng.permutation(len(said))]
    text = f"{pick(_OPENINGS)}a {subject} {' '.join(said)}"
    if not said[0].startswith(("with ", "and ", "flying ")) and rng.random() < 0.3:
        text = f"{said[0]}, a {subject} {' '.join(said[1:])}"
    return text
