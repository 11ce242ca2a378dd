"""Turns what a model says into a caption."""

from __future__ import annotations

import re

from diffinv.errors import DiffinvError
from diffinv.system.text import text_safe

PROMPT = (
    "Describe this picture in one short sentence: what it shows and where, its colours, its style."
    " Answer with that sentence alone."
)
"""What a vision-language model is asked."""

MAX_LENGTH = 300
"""The most characters of a caption."""

MAX_TOKENS = 100
"""A model on this machine stops after this many tokens: more than CLIP's text encoders read."""

_SENTENCE = re.compile(r".*[.!?](?=\s|$)")
_CLAUSE = re.compile(r".*(?=[,;:]\s|\s[-–—]\s)")

_THOUGHT = re.compile(
    r"\A(?:(?!<think>).)*</think>"  # some servers leave out the opening tag
    r"|<think>.*?(?:</think>|\Z)",
    re.DOTALL | re.IGNORECASE,
)


def clean(answer: str, who: str, cut: bool = False) -> str:
    """The first line of an answer as plain text; if the answer was ``cut`` off, its whole part.

    Raises DiffinvError if nothing is left.
    """
    said = _THOUGHT.sub("", answer)
    lines = [line for line in map(text_safe, said.splitlines()) if line]
    caption = _unquoted(lines[0]) if lines else ""
    if len(caption) > MAX_LENGTH or (cut and len(lines) == 1):
        caption = _whole(caption[:MAX_LENGTH])
    if not any(character.isalnum() for character in caption):
        unfinished = " but thoughts" if said != answer else ""
        raise DiffinvError(
            f"{who} gave no caption{unfinished}; say what the pictures show with --caption-a and "
            "--caption-a-prime, or with --prompt-b."
        )
    return caption


def _whole(text: str) -> str:
    """A text up to its last full sentence or else clause, unless that is less than half of it; else
    without its last word, which may be incomplete."""
    for pattern in (_SENTENCE, _CLAUSE):
        found = pattern.match(text)
        if found and len(found[0]) >= len(text) / 2:
            return found[0]
    return text.rpartition(" ")[0] or text


def _unquoted(text: str) -> str:
    for start, end in ('""', "''", "“”", "``"):
        if len(text) > 1 and text.startswith(start) and text.endswith(end):
            return text[1:-1].strip()
    return text
