"""What the app calls things: in a photographer's words, or in the paper's.

Whatever is written on a screen names them as ``{before}`` or, at its beginning, ``{Before}``, and
goes through :func:`say`. Which words are said is one setting for the whole app.
"""

from __future__ import annotations

from typing import Literal

Vocabulary = Literal["plain", "paper"]

_TABLE = {
    # the name          a photographer's    the paper's
    "model": ("model", "backbone"),
    "models": ("models", "backbones"),
    "describes_with": ("describes with", "captioner"),
    "compares_with": ("compares with", "delta encoder"),
    "describers": ("models that describe", "captioners"),
    "comparers": ("models that compare", "delta encoders"),
    "before": ("before", "A"),
    "after": ("after", "A′"),
    "original": ("before", "B"),
    "result": ("after", "B′"),
    "before_shows": ("before shows", "caption of A"),
    "after_shows": ("after shows", "caption of A′"),
    "picture_shows": ("picture shows", "prompt of B"),
    "how_closely": ("how closely", "guidance scale"),
    "step_size": ("step size", "learning rate"),
    "hidden_words": ("hidden words", "tokens"),
    "joined": ("joined", "token space"),
    "trust_in_words": ("trust words", "alpha"),
    "beside_them": ("beside them", "prompter"),
    "left_to_learn": ("left to learn", "loss"),
}
SETTINGS = {
    "lr": "step_size",
    "alpha": "trust_in_words",
    "prompter": "beside_them",
    "guidance_scale": "how_closely",
}
"""The settings that have other names here than in a file."""
_PAPER_SETTINGS = {"lambda_tc": "λ_TC", "lambda_clip": "λ_CLIP", "tc_norm": "Norm in L_TC"}

_vocabulary: Vocabulary = "plain"


def speak(vocabulary: Vocabulary) -> None:
    """From now on, say things in these words."""
    global _vocabulary
    _vocabulary = vocabulary


def vocabulary() -> Vocabulary:
    """The words that are said now."""
    return _vocabulary


def is_papers() -> bool:
    """Whether the paper's words are said."""
    return _vocabulary == "paper"


def say(text: str) -> str:
    """A text of our own with the words in place of their names. Never for text out of files."""
    return text.format_map(_WORDS[_vocabulary])


def setting_name(key: str) -> str:
    """What a setting of a file is called, by its name there."""
    if key in SETTINGS:
        return say(f"{{{SETTINGS[key].capitalize()}}}")
    if is_papers() and key in _PAPER_SETTINGS:
        return _PAPER_SETTINGS[key]
    return key.replace("_", " ").capitalize()


def _with_capitals(words: dict[str, str]) -> dict[str, str]:
    return words | {name.capitalize(): word[0].upper() + word[1:] for name, word in words.items()}


_WORDS: dict[Vocabulary, dict[str, str]] = {
    "plain": _with_capitals({name: plain for name, (plain, _) in _TABLE.items()}),
    "paper": _with_capitals({name: paper for name, (_, paper) in _TABLE.items()}),
}
