"""Checks of what a spec says, before its part is loaded."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

from ..contracts import Glimpse
from .kit import CheckResult, require, run_checks

if TYPE_CHECKING:
    from ..contracts import Spec


def check_spec(spec: Spec) -> list[CheckResult]:
    """Run every check of the functions that a spec names. Import no torch before: one of them finds
    out whether they do."""
    checks = []
    if getattr(spec, "suits", None):
        checks += [suits_is_light, suits_gives_sentences, suits_takes_any_picture]
    if spec.fetch:
        checks.append(fetch_can_be_called)
    if getattr(spec, "additions", ()):
        checks.append(factory_takes_additions)
    return run_checks(checks, spec)


def suits_is_light(spec: Any) -> None:
    """What says whether pictures suit imports no torch."""
    had_torch = "torch" in sys.modules
    pkgutil.resolve_name(spec.suits)([_glimpse(64, 64, (90, 120, 60))])
    require(had_torch or "torch" not in sys.modules, f"{spec.suits} imports torch")


def suits_gives_sentences(spec: Any) -> str:
    """What says whether pictures suit gives a list of sentences, the same each time."""
    asked = pkgutil.resolve_name(spec.suits)
    glimpses = [_glimpse(4000, 3000, (200, 30, 120)), _glimpse(64, 64, (90, 120, 60))]
    first, again = asked(glimpses), asked(glimpses)
    require(isinstance(first, list), f"it gave a {type(first).__name__}")
    require(all(isinstance(text, str) and text.strip() for text in first), "it gave no texts")
    require(first == again, "it gave something else the second time")
    wrong = [text for text in first if "\n" in text or not text.rstrip().endswith(".")]
    require(not wrong, f"{wrong[0]!r} is no sentence" if wrong else "")
    return first[0] if first else "it has nothing against two pictures"


def suits_takes_any_picture(spec: Any) -> None:
    """What says whether pictures suit takes no picture at all, one pixel, and long ones."""
    asked = pkgutil.resolve_name(spec.suits)
    for glimpses in ([], [_glimpse(1, 1, (0, 0, 0))], [_glimpse(20_000, 8, (255, 255, 255))]):
        require(isinstance(asked(glimpses), list), "it gave no list")


def fetch_can_be_called(spec: Any) -> None:
    """What fetches the weights is a function."""
    require(callable(pkgutil.resolve_name(spec.fetch)), f"{spec.fetch} cannot be called")


def factory_takes_additions(spec: Any) -> str:
    """The factory takes additions behind weights and device."""
    factory = pkgutil.resolve_name(spec.factory)
    try:
        inspect.signature(factory).bind(None, "cpu", ())
    except TypeError as error:
        require(False, f"{spec.factory} cannot be called as factory(weights, device, ()): {error}")
    return ", ".join(spec.additions)


def _glimpse(width: int, height: int, colour: tuple[int, int, int]) -> Glimpse:
    from PIL import Image

    small = (min(width, 64), min(height, 64))
    return Glimpse(width, height, Image.new("RGB", small, colour))
