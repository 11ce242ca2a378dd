"""Finds which installed models could be loaded now, without loading any."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..contracts import BackboneSpec, Use
from ..errors import DiffinvError
from ..plugins.checking import kind_of
from ..plugins.loading import registry
from ..system.text import plural

if TYPE_CHECKING:
    from ..contracts import Spec


def model_states() -> list[dict[str, Any]]:
    """Every backbone, and every other part with a model of its own to fetch.

    ``status`` is ``here``, ``not here`` (``model`` can be fetched) or ``not ready``, with the
    ``error`` that loading it would give.
    """
    found = registry()
    others = [*found.captioners.values(), *found.delta_encoders.values()]
    specs = [*found.backbones.values(), *(spec for spec in others if _model(spec))]
    return [_state(spec) for spec in specs]


def what_works(states: Sequence[dict[str, Any]]) -> str | None:
    """One sentence about the models that are not here, if there are any."""
    missing = {state["model"] for state in states if state["status"] == "not here"}
    if not missing:
        return None
    ready = [s["id"] for s in states if s["kind"] == "backbone" and s["status"] == "here"]
    works = f"{', '.join(ready)} work{'s' * (len(ready) == 1)} now; " if ready else ""
    return (
        f"{works}{plural(len(missing), 'model')} can be fetched with 'diffinv models pull ID' "
        "('diffinv models list' shows them)."
    )


def _state(spec: Spec) -> dict[str, Any]:
    status, error = _status(spec)
    state = {"id": spec.id, "kind": kind_of(spec), "title": spec.title, "size_mb": spec.size_mb}
    return state | {"model": _model(spec), "status": status, "error": error}


def _model(spec: Spec) -> str | None:
    """The hub id or folder a part loads if none is named."""
    model = spec.defaults.get("model")
    return model if isinstance(model, str) else None


def _status(spec: Spec) -> tuple[str, str | None]:
    from ..system.local_models import find_model

    module = spec.factory.partition(":")[0]
    if not _has_code(module):
        return "not ready", f"Its module {module!r} is missing; install its plugin again."
    try:
        if model := _model(spec):
            find_model(model)
    except DiffinvError:
        return "not here", None
    try:
        if isinstance(spec, BackboneSpec):
            registry().preflight(spec, Use(None, "cpu", learning=True))
    except DiffinvError as error:
        return "not ready", str(error)
    return "here", None


def _has_code(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:  # a parent package that does not import
        return False
