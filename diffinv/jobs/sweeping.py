"""Pictures at several strengths: which ones a request asks for, and where their results go."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..errors import UsageError
from .requests import ApplyRequest

Strengths = tuple[float, ...]
"""A strength for each difference of a request."""

MOST = 20
"""How many strengths one request may ask for."""


def strengths_asked(request: ApplyRequest) -> list[Strengths]:
    """The strengths at which each picture is made: those of the request, or all of its sweep's.

    Raises UsageError for a sweep with too many numbers, or with one that is none.
    """
    weights = [weight for _, weight in request.differences]
    if not request.sweep:
        return [tuple(weights)]
    if len(request.sweep) > MOST or not all(map(math.isfinite, request.sweep)):
        raise UsageError(f"A sweep has 1 to {MOST} numbers.")
    # + 0.0 makes -0.0 a plain zero
    swept = (tuple(round(weight * by, 4) + 0.0 for weight in weights) for by in request.sweep)
    return list(dict.fromkeys(swept))


def strength_folder(strengths: Sequence[float]) -> str:
    """The folder for the results at these strengths, such as ``strength +0.5, -1``."""
    return f"strength {', '.join(f'{strength:+g}' for strength in strengths)}"
