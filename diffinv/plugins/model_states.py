"""Which weights the installed parts need, and which of them are here. Loads none."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..contracts import BackboneSpec, Kind, Spec, Use
from ..errors import DiffinvError, UsageError
from ..system import hub
from ..system.local_models import find_model, is_hub_id, own_folder
from ..system.paths import given_path
from ..system.text import readable, text_safe
from .checking import kind_of
from .loading import registry
from .registry import Registry

Status = Literal["here", "partly here", "not here", "not ready", "yours"]

KINDS: tuple[Kind, ...] = ("backbone", "captioner", "delta encoder")
"""The kinds of parts that have weights."""


@dataclass(frozen=True)
class ModelState:
    """A part and its weights.

    ``status`` is ``here``, ``partly here`` or ``not here`` (they can be fetched), ``not ready``
    (with the ``error`` that loading would give) or ``yours``: the part has none of its own, and
    wants some named as ID=PATH. ``model`` is what can be fetched: a hub id, or ``KIND:ID`` where
    the plugin does it itself; None if the weights come with the plugin. ``size`` is the bytes of it
    on this machine.
    """

    spec: Spec
    status: Status
    model: str | None = None
    size: int = 0
    error: str | None = None

    @property
    def kind(self) -> Kind:
        """The part's kind."""
        return kind_of(self.spec)

    @property
    def to_fetch(self) -> int:
        """The bytes that are still to come, as far as the spec says."""
        is_own = self.model == model_of(self.spec)
        if self.status not in ("not here", "partly here") or not is_own:
            return 0
        return max(0, int(self.spec.size_mb * 10**6) - self.size)


class MissingModelsError(UsageError):
    """Weights that a request needs are not on this machine. ``missing`` has each once."""

    def __init__(self, missing: Sequence[ModelState]) -> None:
        super().__init__(_said(missing))
        self.missing = tuple(missing)


def model_states(found: Registry | None = None) -> list[ModelState]:
    """Every backbone, captioner and delta encoder that has weights, or takes some, of those that
    are installed."""
    parts = found or registry()
    return [state_of(spec) for kind in KINDS for spec in parts.parts(kind).values()]


def state_of(spec: Spec) -> ModelState:
    """A part with the weights it has if none are named."""
    module = spec.factory.partition(":")[0]
    if not _has_code(module):
        error = f"Its module {module!r} is missing; install its plugin again."
        return ModelState(spec, "not ready", error=error)
    model = model_of(spec)
    if model is None:
        owns = isinstance(spec, BackboneSpec) or spec.size_mb
        found = ModelState(spec, "here" if owns else "yours", size=int(spec.size_mb * 10**6))
    else:
        found = _fetched(spec, model)
    return _ready(found) if found.status == "here" else found


def model_of(spec: Spec, weights: str | None = None) -> str | None:
    """What has to be fetched for a part with these weights: a hub id, ``KIND:ID``, or None."""
    if weights is not None:
        return weights if is_hub_id(weights) and not given_path(weights).exists() else None
    if spec.fetch:
        return f"{kind_of(spec)}:{spec.id}"
    model = spec.defaults.get("model")
    return model if isinstance(model, str) and is_hub_id(model) else None


def missing_models(parts: Iterable[tuple[Spec, str | None]]) -> list[ModelState]:
    """What has to be fetched before these parts, each with its weights, can be loaded."""
    found: dict[str, ModelState] = {}
    for spec, weights in parts:
        model = model_of(spec, weights)
        if model is None or _stands_in(spec, weights):
            continue
        state = _fetched(spec, model)
        if state.status != "here":
            found.setdefault(model, state)
    return list(found.values())


def require_models(parts: Iterable[tuple[Spec, str | None]]) -> None:
    """Raise MissingModelsError, which names all that is missing, unless nothing is."""
    if missing := missing_models(parts):
        raise MissingModelsError(missing)


def find_models(name: str) -> list[tuple[str, Spec | None]]:
    """What is fetched under a name: a part's id, or a hub id; each with its part, if it has one.
    Raises UsageError if there is nothing of that name."""
    specs = [registry().parts(kind)[name] for kind in KINDS if name in registry().parts(kind)]
    found = {model: spec for spec in specs if (model := model_of(spec))}
    if found:
        return list(found.items())
    if specs:
        raise UsageError(f"{name!r} needs no model to be fetched: what it has comes with it.")
    if is_hub_id(name):
        return [(hub.checked_id(name), None)]
    every = [spec for kind in KINDS for spec in registry().parts(kind).values()]
    ids = ", ".join(dict.fromkeys(spec.id for spec in every if model_of(spec)))
    raise UsageError(
        f"{text_safe(name)!r} is none of the parts with a model to fetch ({ids}), nor the id of a "
        "model, as in OWNER/NAME."
    )


def checked_weights(spec: Spec, text: str) -> str:
    """What a user names as a part's weights, a path made absolute. Raises DiffinvError where there
    is nothing of the kind, or a backbone's preflight refuses it."""
    path = given_path(text)
    weights = str(path.absolute()) if path.exists() else text
    if weights == text and not path.exists() and is_hub_id(text):
        find_model(text)
    elif "/" in text and "://" not in text and not path.exists():
        raise UsageError(f"There is nothing at {text_safe(text)!r}; check the path.")
    if isinstance(spec, BackboneSpec):
        registry().preflight(spec, _use(spec, weights))
    return weights


def plugin_part(model: str) -> Spec | None:
    """The part that fetches a model itself (``KIND:ID``); None for one of the hub."""
    kind, colon, id = model.partition(":")
    if not colon:
        return None
    found = next((known for known in KINDS if known == kind), None)
    if found is None:
        raise UsageError(f"{text_safe(model)!r} is no model that can be fetched.")
    return registry().get(found, id)


def size_here(model: str) -> int:
    """The bytes that a model takes on this machine, also where it is there in part."""
    spec = plugin_part(model)
    return hub.size_here(model) if spec is None else sum(map(_size, _own_folders(spec)))


def remove_model(model: str) -> int:
    """Delete a model's weights from this machine; return the bytes freed."""
    spec = plugin_part(model)
    if spec is None:
        return hub.remove(model)
    size = size_here(model)
    for folder in _own_folders(spec):
        try:
            shutil.rmtree(folder) if folder.is_dir() else None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DiffinvError(f"{str(folder)!r} cannot be deleted ({reason}).") from error
    if not size:
        raise UsageError(f"The model of {spec.id!r} is not on this machine.")
    return size


def partial_folder(spec: Spec) -> Path:
    """Where a part's own ``fetch`` fills its folder until it has come to its end."""
    whole = own_folder(kind_of(spec), spec.id)
    return whole.with_name(whole.name + ".part")


def _own_folders(spec: Spec) -> tuple[Path, Path]:
    return own_folder(kind_of(spec), spec.id), partial_folder(spec)


def _fetched(spec: Spec, model: str) -> ModelState:
    if spec.fetch and model == model_of(spec):
        whole, part = _own_folders(spec)
        size, is_whole = _size(whole) + _size(part), whole.is_dir()
    else:
        size, is_whole = hub.size_here(model), hub.is_whole(model)
    status: Status = "here" if is_whole else "partly here" if size else "not here"
    return ModelState(spec, status, model, size)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _stands_in(spec: Spec, weights: str | None) -> bool:
    """Whether another model that the part takes as well is here."""
    others = spec.defaults.get("stand_ins", ()) if weights is None else ()
    return any(isinstance(one, str) and is_hub_id(one) and hub.is_whole(one) for one in others)


def _ready(state: ModelState) -> ModelState:
    """Or not, if the backbone's own preflight refuses what is here."""
    if not isinstance(state.spec, BackboneSpec):
        return state
    try:
        registry().preflight(state.spec, _use(state.spec, None))
    except DiffinvError as error:
        return ModelState(state.spec, "not ready", state.model, state.size, str(error))
    return state


def _use(spec: BackboneSpec, weights: str | None) -> Use:
    """To learn with the delta encoder that suits it."""
    encoder = registry().delta_encoders.get(spec.delta_encoder or "")
    brought = encoder is not None and encoder.text_projection
    return Use(weights, "cpu", learning=True, text_projection=brought)


def _has_code(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:  # a parent package that does not import
        return False


def _said(missing: Sequence[ModelState]) -> str:
    names = [shown_name(state) for state in missing]
    pull = " ".join(_named(state) for state in missing)
    if len(missing) == 1:
        return (
            f"The model {names[0]} is not on this machine: fetch it with "
            f"'diffinv models pull {pull}', or name a folder that holds it as ID=FOLDER."
        )
    return (
        f"{len(missing)} models are not on this machine: {', '.join(names)}; fetch them with "
        f"'diffinv models pull {pull}', or name folders that hold them as ID=FOLDER."
    )


def shown_name(state: ModelState) -> str:
    """What people call a model that is missing, and how much of it is still to come."""
    if state.model == model_of(state.spec):
        size = f" ({readable(state.to_fetch)})" if state.to_fetch else ""
        return text_safe(state.spec.title) + size
    return repr(state.model)


def _named(state: ModelState) -> str:
    model = state.model or state.spec.id
    return state.spec.id if ":" in model else model
