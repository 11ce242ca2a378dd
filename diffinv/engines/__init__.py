"""Where work is done: in this process, or on every machine of a Ray cluster.

An engine is given a factory and tasks. It makes workers with the factory, each of which keeps its
models warm, hands every task to one of them, and brings back the results. What must be kept is
kept by whoever asked, in one process, so that nothing is written twice.
"""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import DiffinvError, UsageError
from ..system.text import text_safe
from .engine import LOCAL, Engine, Pool, Work
from .local import LocalEngine

__all__ = ["LOCAL", "Engine", "Pool", "Work", "engine_of"]


def engine_of(on: str) -> Engine:
    """The engine that ``--on`` names: ``local``, ``ray``, or a cluster's ``ray://HOST:PORT``.

    Raises UsageError if it is none of them, DiffinvError if Ray is not installed.
    """
    if on == LOCAL:
        return LocalEngine()
    if on != "ray" and not on.startswith("ray://"):
        raise UsageError(f"--on {text_safe(on)}: write local, ray or ray://HOST:PORT.")
    if find_spec("ray") is None:
        raise DiffinvError(
            "Ray is not installed; 'pip install \"diffinv[ray]\"' adds it, or leave out --on."
        )
    from .on_ray import RayEngine

    return RayEngine(None if on == "ray" else on)
