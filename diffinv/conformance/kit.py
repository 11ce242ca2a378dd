"""How checks are written and run. Importing this imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..contracts import Kind
from ..plugins.checking import describe

Check = Callable[[Any], "str | None"]
"""Takes the part; returns nothing, or a figure worth showing. Raises if the part is wrong."""

PartKind = Kind

KITS: dict[str, str] = {
    "backbone": "diffinv.conformance.backbone",
    "captioner": "diffinv.conformance.captioner",
    "delta encoder": "diffinv.conformance.delta_encoder",
    "editor": "diffinv.conformance.editor",
    "method": "diffinv.conformance.method",
    "world": "diffinv.conformance.world",
}
"""The module with each kind's checks, in a list ``CHECKS``."""


class BrokenPromiseError(Exception):
    """A promise of the interface that a part does not keep."""


@dataclass(frozen=True)
class CheckResult:
    """One check: its name, what has to hold, and whether it does. ``detail`` says why not, or is a
    figure."""

    name: str
    promise: str
    passed: bool
    detail: str = ""


def check_part(kind: PartKind, part: Any) -> list[CheckResult]:
    """Run every check of a kind on a loaded part, in order; a failure does not stop the others."""
    return run_checks(importlib.import_module(KITS[kind]).CHECKS, part)


def run_checks(checks: Sequence[Check], part: Any) -> list[CheckResult]:
    """Run checks in order; a failure does not stop the others."""
    return [_run(check, part) for check in checks]


def require(condition: bool, otherwise: str) -> None:
    """Raise BrokenPromiseError unless the condition holds."""
    if not condition:
        raise BrokenPromiseError(otherwise)


def _run(check: Check, part: Any) -> CheckResult:
    name = check.__name__
    promise = " ".join((check.__doc__ or "").split()).rstrip(".")
    try:
        return CheckResult(name, promise, True, check(part) or "")
    except BrokenPromiseError as error:
        return CheckResult(name, promise, False, str(error))
    except (Exception, SystemExit) as error:
        return CheckResult(name, promise, False, describe(error))
