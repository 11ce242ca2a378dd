"""Checks and notes before a checkpoint is loaded. Light: no torch."""

from __future__ import annotations

from functools import partial

from diffinv.contracts import Use

from .families import FAMILIES
from .memory import expectation
from .projection import check_projection
from .sources import find_source


def preflight(family: str, use: Use) -> list[str]:
    """A note on the expected peak memory. Raises for a checkpoint that cannot be used as asked.

    Learning needs the text projection of the joint space, unless the delta encoder brings it;
    applying does not.
    """
    source = find_source(FAMILIES[family], use.weights, use.additions)
    if use.learning and not use.text_projection:
        check_projection(source)
    return [expectation(source, use)]


preflight_sd15 = partial(preflight, "sd15")
preflight_sd21_base = partial(preflight, "sd21-base")
preflight_sd21 = partial(preflight, "sd21")
preflight_sdxl = partial(preflight, "sdxl")
