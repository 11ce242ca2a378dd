"""What a model says, made a caption."""

from __future__ import annotations

import re

from diffinv.errors import DiffinvError
from diffinv.text import text_safe

PROMPT = (
    "Describe this picture in one short sentence: what it shows and where, its colours, its style."
    " Answer with that sentence alone."
)
"""What a vision-language model is asked."""

MAX_LENGTH = 300
"""A caption is cut at the last word that ends within so many characters."""

MAX_TOKENS = 60
"""A model on this machine stops after so many tokens."""

_THOUGHT = re.compile(
    r"\A(?:(?!<think>).)*</think>"  # some servers leave out the start
    r"|<think>.*?(?:</think>|\Z)",
    re.DOTALL | re.IGNORECASE,
)


def clean(answer: str, who: str) -> str:
    """The first line of an answer as plain text. Raises DiffinvError where nothing is left."""
    said = _THOUGHT.sub("", answer)
    lines = (text_safe(line) for line in said.splitlines())
    caption = next((line for line in lines if line), "")
    caption = _unquoted(caption)
    if len(caption) > MAX_LENGTH:
        caption = caption[: MAX_LENGTH + 1].rpartition(" ")[0] or caption[:MAX_LENGTH]
    if not any(character.isalnum() for character in caption):
        unfinished = " but thoughts" if said != answer else ""
        raise DiffinvError(
            f"{who} gave no caption{unfinished}; say what the pictures show with --caption-a and "
            "--caption-a-prime, or with --prompt-b."
        )
    return caption


def _unquoted(text: str) -> str:
    for start, end in ('""', "''", "“”", "``"):
        if len(text) > 1 and text.startswith(start) and text.endswith(end):
            return text[1:-1].strip()
    return text
