"""diffinv: learn the difference between two pictures and apply it to any other.

    import diffinv

    model = diffinv.load("diorama")
    difference = model.invert("a.png", "a2.png")
    b_prime = model.apply(difference, "b.png", strength=0.8)

Importing this imports nothing else; each name below is resolved when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Model, library, load, open
    from .difference import Difference
    from .errors import DiffinvError, UsageError
    from .method.settings import InversionSettings

__version__ = "0.2.0"

__all__ = [
    "Difference",
    "DiffinvError",
    "InversionSettings",
    "Model",
    "UsageError",
    "library",
    "load",
    "open",
]

_HOMES = {
    "Model": "api",
    "library": "api",
    "load": "api",
    "open": "api",
    "Difference": "difference",
    "DiffinvError": "errors",
    "UsageError": "errors",
    "InversionSettings": "method.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
