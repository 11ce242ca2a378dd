"""A photographer's words, and the paper's: one switch, every text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, unfold, until
from textual.widgets import Select

from diffinv_tui import help_texts, screens, widgets, words
from diffinv_tui.app import DiffinvApp
from diffinv_tui.config import load_preferences, preferences_file
from diffinv_tui.widgets.difference_list import both_ends

MakeApp = Callable[..., DiffinvApp]


@pytest.fixture(autouse=True)
def _plain_again() -> Iterator[None]:
    yield
    words.speak("plain")


@pytest.mark.asyncio
async def test_one_switch_changes_every_word(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 66)) as pilot:
        await shows(pilot, "11 differences")
        await until(pilot, lambda: "Compares with" in screen(app))
        await pilot.press("v")
        await shows(pilot, "FROM → TO")
        new = await go(pilot, "new")
        await unfold(pilot)
        for word in ("Before", "After", "Model", "Describes with", "Compares with", "Step size"):
            assert word in screen(app), word
        for word in ("A′", "Backbone", "Captioner", "Alpha", "Token"):
            assert word not in screen(app).partition("\n")[2], word

        settings = await go(pilot, "settings")
        settings.query_one("#words", Select).value = "paper"
        await shows(pilot, "Backbone")
        await go(pilot, "new")
        for word in ("A′ ", "Backbone", "Captioner", "Delta encoder", "Alpha", "Learning rate"):
            assert word in screen(app), word
        assert new.query_one("#lr") is not None
        await go(pilot, "library")
        for word in ("A′", "Delta encoder", "λ_TC"):
            await shows(pilot, word)
        saved, problem = load_preferences(preferences_file())
        assert (saved.words, problem) == ("paper", None)


@pytest.mark.parametrize("vocabulary", ["plain", "paper"])
def test_every_help_can_be_said(vocabulary: words.Vocabulary) -> None:
    words.speak(vocabulary)
    said = [help_texts.help_text(*key) for key in _fields()] + [words.say(h) for h in _helps()]
    assert len(said) > 40
    assert not [text for text in said if not text or "{" in text]


def _fields() -> list[tuple[str, str]]:
    return [(place, field) for place, texts in help_texts._TEXTS.items() for field in texts]


def _helps() -> list[str]:
    import importlib
    import pkgutil

    found = []
    for package in (screens, widgets):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            made: dict[str, Any] = vars(importlib.import_module(module.name))
            found += [value.__dict__["HELP"] for value in made.values() if _has_help(value)]
    return found


def _has_help(value: object) -> bool:
    return isinstance(value, type) and isinstance(value.__dict__.get("HELP"), str)


@pytest.mark.parametrize(
    ("change", "room", "shown"),
    [
        ("grass → snow", 20, "grass → snow"),
        ("a long meadow in summer → snow", 20, "a long meado… → snow"),
        ("grass → a long winter's night", 20, "grass → a long wint…"),
        ("a long meadow → a long winter's night", 20, "a long… → a long wi…"),
        ("no arrow, which is left as it is", 20, "no arrow, which is left as it is"),
    ],
)
def test_both_ends_of_a_change_are_seen(change: str, room: int, shown: str) -> None:
    assert both_ends(change, room) == shown
