"""Text from files prints plainly and sorts as people count."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diffinv.system.text import natural_key, text_safe


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a castle, day", "a castle, day"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b2Jgone", "gone"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bcreset", "reset"),
        ("two\r\nlines\tand\u2028more", "two lines and more"),
        ("bell\x07 null\x00 delete\x7f", "bell null delete"),
        ("abc\u202egpj.exe\u2066x", "abcgpj.exex"),
        ("\ud800", "\ufffd"),
        ("  spaced   out ", "spaced out"),
        ("château 城 👩\u200d🚀", "château 城 👩\u200d🚀"),
    ],
)
def test_text_safe_examples(raw, shown):
    assert text_safe(raw) == shown


@given(st.text(st.characters()))
@example("\x1b\x1b[0m[31m")
@example("\x1b]" * 5000)
def test_text_safe_leaves_nothing_a_terminal_acts_on(raw):
    shown = text_safe(raw)
    assert text_safe(shown) == shown
    assert len(shown.splitlines()) <= 1
    kinds = {unicodedata.category(c) for c in shown if c not in "\u200c\u200d"}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()


@given(st.text(st.characters(categories=["L", "N"])))
def test_text_safe_keeps_letters_and_digits(raw):
    assert text_safe(raw) == raw


def test_natural_key_counts():
    names = ["b10", "B2", "b1", "a", "b2"]
    assert sorted(names, key=natural_key) == ["a", "b1", "B2", "b2", "b10"]


@given(st.lists(st.integers(0, 10**30), unique=True))
def test_natural_key_orders_numbers_by_value(numbers):
    names = [f"x{'0' * (n % 3)}{n}y" for n in numbers]
    assert sorted(names, key=natural_key) == [f"x{'0' * (n % 3)}{n}y" for n in sorted(numbers)]


@given(st.lists(st.text(alphabet="ab²٣01 ")))
def test_natural_key_is_one_order_for_anything(names):
    backwards = sorted(names, reverse=True)
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


def test_natural_key_takes_endless_numbers():
    assert natural_key("9" * 5000) < natural_key("1" + "0" * 5000)
