"""The library's query language: words, ``tag:x``, ``model:x``, ``created:>2026-01``, ``is:x``.

A hyphen before any of them excludes what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import UsageError
from ..system.text import text_safe

_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_CREATED = re.compile(r"(<=|>=|<|>|=?)(.*)")
_MONTH, _DAY = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_DATE = re.compile(rf"\d{{1,4}}|\d{{4}}-(?:{_MONTH}|[01])?|\d{{4}}-{_MONTH}-(?:{_DAY}|[0-3])?")
"""A date of any precision, possibly still being typed."""

_LAST = "\U0010ffff"
"""Sorts after anything a tag can continue with."""
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


def parse(query: str) -> list[Condition]:
    """The conditions of a query, all of which must hold.

    Any text is a query, except that UsageError is raised for a value that ``created:`` or ``is:``
    cannot have. A value still being typed finds everything.

    Words find titles, tags, captions, what differences read like, prompts and backbones with a word
    that begins with them.
    ``tag:``, ``model:`` and ``backbone:``, which is the same, find what begins with their value, in
    any case, or, once quotes are closed, exactly what is in them (``tag:"old town"``). ``created:``
    takes a date of any precision after ``<``, ``<=``, ``>``, ``>=`` or nothing, and compares at
    that precision. ``is:duplicate`` finds those with the same tensors as another, ``is:damaged``
    those that cannot be read.
    """
    return [condition for match in _WORD.findall(query) if (condition := _signed(match))]


def unknown_filters(query: str) -> list[str]:
    """Words that look like ``key:value`` filters but are searched for as text."""
    words = (word.removeprefix("-") for word in _WORD.findall(query))
    keys = [word.partition(":")[0] for word in words if re.match(r"\w+:.", word)]
    return [text_safe(f"{key}:") for key in keys if key.casefold() not in _KEYS]


def _signed(word: str) -> Condition | None:
    if not word.startswith("-"):
        return _condition(word)
    found = _condition(word[1:])
    return found and Condition(f"NOT ({found.sql})", found.values)


def _condition(word: str) -> Condition | None:
    """The condition for a word; None for one still being typed."""
    key, colon, quoted = word.partition(":")
    value = quoted.replace('"', "").strip()
    make = _KEYS.get(key.casefold()) if colon else None
    if make and not value:
        return None
    if make:
        return make(value, len(quoted) > 1 and quoted[0] == quoted[-1] == '"')
    return _words(word.replace('"', " "))


def _tag(value: str, exact: bool) -> Condition:
    value = value.casefold()
    condition = "folded = ?" if exact else "folded BETWEEN ? AND ?"
    values = (value,) if exact else (value, value + _LAST)
    return Condition(f"f.id IN (SELECT file FROM tags WHERE {condition})", values)


def _backbone(value: str, exact: bool) -> Condition:
    condition = "lower(f.backbone) = ?" if exact else "instr(lower(f.backbone), ?) = 1"
    return Condition(condition, (value.lower(),))


def _created(value: str, exact: bool) -> Condition | None:
    match = _CREATED.fullmatch(value)
    operator, date = match.groups() if match else ("", value)
    if not date:
        return None
    if not _DATE.fullmatch(date):
        raise UsageError(
            f"{text_safe(date)!r} is not a date to search for; write created:2026, "
            "created:>2026-01 or created:<=2026-01-15."
        )
    date = date.strip("-")
    return Condition(f"substr(f.created, 1, {len(date)}) {operator or '='} ?", (date,))


def _state(value: str, exact: bool) -> Condition | None:
    value = value.casefold()
    if value in _STATES:
        return Condition(_STATES[value])
    if not any(state.startswith(value) for state in _STATES):
        known = " or ".join(f"is:{state}" for state in _STATES)
        raise UsageError(f"No difference is {text_safe(value)!r}; write {known}.")
    return None


_KEYS: dict[str, Callable[[str, bool], Condition | None]] = {
    "tag": _tag,
    "backbone": _backbone,
    "model": _backbone,
    "created": _created,
    "is": _state,
}
FILTERS = tuple(f"{key}:" for key in _KEYS)


def _words(text: str) -> Condition | None:
    """Finds words by the full-text index, and text without any (emoji) by comparing."""
    words = re.findall(r"\w+", text.replace("_", " "))
    if words:
        terms = " ".join(f'"{word}"*' for word in words)
        return Condition("f.id IN (SELECT rowid FROM words WHERE words MATCH ?)", (terms,))
    if not text.strip():
        return None
    return Condition("instr(f.text, ?) > 0", (text.strip(),))
