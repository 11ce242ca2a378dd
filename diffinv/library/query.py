"""The query language of the library: words, ``tag:x``, ``backbone:x``, ``created:>2026-01``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_CREATED = re.compile(r"(<=|>=|<|>|=?)(\d[\d-]*)")


@dataclass(frozen=True)
class Condition:
    """A part of an SQL WHERE, with its values."""

    sql: str
    values: tuple[str, ...] = ()


def parse(query: str) -> list[Condition]:
    """The conditions of a query, all of which have to hold. Any text is a query.

    Words find titles, tags, captions, prompts and backbones in which a word begins so. ``tag:``
    and ``backbone:`` compare the whole, in any case; quotes keep blanks together (``tag:"old
    town"``). ``created:`` takes a date of any precision behind ``<``, ``<=``, ``>``, ``>=`` or
    nothing, and compares at that precision.
    """
    return [condition for match in _WORD.findall(query) if (condition := _condition(match))]


def _condition(word: str) -> Condition | None:
    key, colon, value = word.partition(":")
    value = value.replace('"', "").strip()
    if colon and key.casefold() in ("tag", "backbone", "created"):
        if not value:
            return None  # still being typed
        if key.casefold() == "tag":
            tags = "SELECT file FROM tags WHERE folded = ?"
            return Condition(f"f.id IN ({tags})", (value.casefold(),))
        if key.casefold() == "backbone":
            return Condition("lower(f.backbone) = ?", (value.lower(),))
        if created := _CREATED.fullmatch(value):
            return _created(*created.groups())
        if value in ("<", ">", "=", "<=", ">="):
            return None
    return _words(word.replace('"', " "))


def _created(operator: str, date: str) -> Condition:
    date = date.strip("-")
    return Condition(f"substr(f.created, 1, {len(date)}) {operator or '='} ?", (date,))


def _words(text: str) -> Condition | None:
    """Words by the full-text index; what it takes for no word (emoji) by comparing."""
    words = re.findall(r"\w+", text.replace("_", " "))
    if words:
        terms = " ".join(f'"{word}"*' for word in words)
        return Condition("f.id IN (SELECT rowid FROM words WHERE words MATCH ?)", (terms,))
    if not text.strip():
        return None
    return Condition("instr(f.text, ?) > 0", (text.strip(),))
