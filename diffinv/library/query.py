"""The library's query language: words, ``tag:x``, ``backbone:x``, ``created:>2026-01``, ``is:x``.

A hyphen before any of them excludes what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_CREATED = re.compile(r"(<=|>=|<|>|=?)(\d[\d-]*)")


_LAST = "\U0010ffff"
"""Sorts behind every text that a tag can go on with."""
_STATES = {
    "duplicate": "f.hash IN (SELECT hash FROM files WHERE hash != '' "
    "GROUP BY hash HAVING count(*) > 1)",
    "damaged": "f.error IS NOT NULL",
}


@dataclass(frozen=True)
class Condition:
    """A part of an SQL WHERE, with its values."""

    sql: str
    values: tuple[str, ...] = ()


_Found = tuple[()] | tuple[Condition | None]
"""Nothing where a value means nothing to its key and is read as words."""


def parse(query: str) -> list[Condition]:
    """The conditions of a query, all of which have to hold. Any text is a query.

    Words find titles, tags, captions, prompts and backbones in which a word begins so. ``tag:``
    and ``backbone:`` find what begins so, in any case, or exactly what is in quotes
    (``tag:"old town"``) once they are closed. ``created:`` takes a date of any precision behind
    ``<``, ``<=``, ``>``, ``>=`` or nothing, and compares at that precision. ``is:duplicate`` finds
    those with the same tensors as another, ``is:damaged`` those that cannot be read.
    """
    return [condition for match in _WORD.findall(query) if (condition := _signed(match))]


def _signed(word: str) -> Condition | None:
    if not word.startswith("-"):
        return _condition(word)
    found = _condition(word[1:])
    return found and Condition(f"NOT ({found.sql})", found.values)


def _condition(word: str) -> Condition | None:
    """What a word asks for; None for one that is still being typed."""
    key, colon, quoted = word.partition(":")
    value = quoted.replace('"', "").strip()
    make = _KEYS.get(key.casefold()) if colon else None
    if make and not value:
        return None
    if make and (conditions := make(value, len(quoted) > 1 and quoted[0] == quoted[-1] == '"')):
        return conditions[0]
    return _words(word.replace('"', " "))


def _tag(value: str, exact: bool) -> _Found:
    value = value.casefold()
    condition = "folded = ?" if exact else "folded BETWEEN ? AND ?"
    values = (value,) if exact else (value, value + _LAST)
    return (Condition(f"f.id IN (SELECT file FROM tags WHERE {condition})", values),)


def _backbone(value: str, exact: bool) -> _Found:
    condition = "lower(f.backbone) = ?" if exact else "instr(lower(f.backbone), ?) = 1"
    return (Condition(condition, (value.lower(),)),)


def _created_when(value: str, exact: bool) -> _Found:
    if created := _CREATED.fullmatch(value):
        return (_created(*created.groups()),)
    return (None,) if value in ("<", ">", "=", "<=", ">=") else ()


def _state(value: str, exact: bool) -> _Found:
    value = value.casefold()
    if value in _STATES:
        return (Condition(_STATES[value]),)
    return (None,) if any(state.startswith(value) for state in _STATES) else ()


_KEYS: dict[str, Callable[[str, bool], _Found]] = {
    "tag": _tag,
    "backbone": _backbone,
    "created": _created_when,
    "is": _state,
}


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
