"""Requests as self-contained JSON: no path in them depends on where they were made."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ..contracts import Addition
from ..difference import SUFFIX
from ..method.settings import ApplicationSettings, InversionSettings
from ..system.paths import library_folder
from ..system.text import plural, text_safe
from .job import Kind
from .requests import ApplyRequest, FetchRequest, InvertManyRequest, InvertRequest, Request


def kind_of(request: Request) -> Kind:
    """The kind of a request."""
    if isinstance(request, FetchRequest):
        return "fetch"
    if isinstance(request, InvertManyRequest):
        return "invert-many"
    return "invert" if isinstance(request, InvertRequest) else "apply"


def title_of(request: Request) -> str:
    """A request in a few words."""
    if isinstance(request, FetchRequest):
        return text_safe(request.title or ", ".join(request.models))
    if isinstance(request, InvertManyRequest):
        count = plural(len(request.requests), "difference")
        return text_safe(f"{request.title}: {count}" if request.title else count)
    if isinstance(request, InvertRequest):
        a, a_prime = request.pairs[0]
        return text_safe(request.name or f"{a.stem} → {a_prime.stem}")
    names = " + ".join(_shown(name, strength) for name, strength in request.differences)
    several = f" at {len(request.sweep)} strengths" if len(request.sweep) > 1 else ""
    return text_safe(f"{names} on {_inputs(request.images)}{several}")


def _shown(name: str, strength: float) -> str:
    """A difference's name, or its file's, and the strength unless it is 1."""
    short = Path(name).name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else name
    return short if strength == 1 else f"{short} ×{strength:g}"


def _inputs(images: Sequence[Path]) -> str:
    if len(images) == 1:
        return images[0].name
    folders = sum(path.is_dir() for path in images)
    what = {0: "pictures", len(images): "folders"}.get(folders, "pictures and folders")
    return f"{len(images)} {what}"


def absolute(request: Request) -> Request:
    """The same request, for a process in any folder."""
    if isinstance(request, FetchRequest):
        return request
    if isinstance(request, InvertManyRequest):
        each = tuple(_absolute_inversion(one) for one in request.requests)
        return replace(request, requests=each)
    if isinstance(request, InvertRequest):
        return _absolute_inversion(request)
    return _absolute_application(request)


def _absolute_inversion(request: InvertRequest) -> InvertRequest:
    return replace(
        request,
        pairs=tuple((a.absolute(), b.absolute()) for a, b in request.pairs),
        delta_encoder=_part(request.delta_encoder),
        **_absolute_parts(request),
    )


def _absolute_application(request: ApplyRequest) -> ApplyRequest:
    return replace(
        request,
        differences=tuple((_difference(name), weight) for name, weight in request.differences),
        images=tuple(path.absolute() for path in request.images),
        out=request.out.absolute(),
        mask=request.mask and request.mask.absolute(),
        **_absolute_parts(request),
    )


def _absolute_parts(request: InvertRequest | ApplyRequest) -> dict[str, Any]:
    """What both say of their model and the library."""
    return {
        "backbone": _part(request.backbone),
        "captioner": _part(request.captioner),
        "library": (request.library or library_folder()).absolute(),
        "additions": tuple(replace(a, path=_absolute(a.path)) for a in request.additions),
    }


def to_json(request: Request) -> str:
    """A request as text."""
    return json.dumps(asdict(request), default=str)


def from_json(kind: Kind, text: str) -> Request:
    """A request from its text; fields unknown to this version are ignored."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError("a request is an object")
    if kind == "fetch":
        return _fetch(values)
    if kind == "invert-many":
        each = tuple(_inversion(dict(one)) for one in values.pop("requests"))
        known = _known_values(InvertManyRequest, values)
        if not each or known.get("batch", 1) < 1:
            raise ValueError("there is no request")
        return InvertManyRequest(requests=each, **known)
    return _inversion(values) if kind == "invert" else _application(values)


def _inversion(values: dict[str, Any]) -> InvertRequest:
    library = Path(values.pop("library"))
    additions = tuple(_known(Addition, one) for one in values.pop("additions", ()))
    settings = _known(InversionSettings, values.pop("settings"))
    pairs = tuple((Path(a), Path(b)) for a, b in values.pop("pairs"))
    if not pairs:
        raise ValueError("there is no pair")
    captions = tuple((a, b) for a, b in values.pop("captions"))
    if not all(isinstance(text, str) for both in captions for text in both):
        raise TypeError("captions are texts")
    tags = tuple(values.pop("tags", ()))
    return InvertRequest(
        pairs=pairs,
        captions=captions,
        settings=settings,
        library=library,
        tags=tags,
        additions=additions,
        **_known_values(InvertRequest, values),
    )


def _application(values: dict[str, Any]) -> ApplyRequest:
    library = Path(values.pop("library"))
    additions = tuple(_known(Addition, one) for one in values.pop("additions", ()))
    application = _known(ApplicationSettings, values.pop("settings"))
    differences = tuple((name, float(weight)) for name, weight in values.pop("differences"))
    images = tuple(Path(path) for path in values.pop("images"))
    out = Path(values.pop("out"))
    mask = values.pop("mask", None)
    sweep = tuple(float(by) for by in values.pop("sweep", ()))
    mirrors = tuple((Path(folder), str(there)) for folder, there in values.pop("mirrors", ()))
    known = _known_values(ApplyRequest, values)
    return ApplyRequest(
        differences=differences,
        images=images,
        out=out,
        mask=None if mask is None else Path(mask),
        sweep=sweep,
        mirrors=mirrors,
        settings=application,
        library=library,
        additions=additions,
        **known,
    )


def _fetch(values: dict[str, Any]) -> FetchRequest:
    models = values.pop("models")
    if not models or not all(isinstance(model, str) for model in models):
        raise ValueError("there is no model")
    return FetchRequest(models=tuple(models), **_known_values(FetchRequest, values))


def _known(cls: Any, values: dict[str, Any]) -> Any:
    return cls(**_known_values(cls, values))


def _known_values(cls: Any, values: dict[str, Any]) -> dict[str, Any]:
    known = {field.name: str(field.type) for field in fields(cls)}
    for name, value in values.items():
        if not isinstance(value, _PLAIN.get(known.get(name, ""), object)):
            raise TypeError(f"{name} is {value!r}")
    return {name: value for name, value in values.items() if name in known}


_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
}
"""What a field may hold, by how it is declared."""


def _difference(name: str) -> str:
    path = Path(os.path.expanduser(name))
    return str(path.absolute()) if path.suffix == SUFFIX and os.path.isfile(path) else name


def _part(text: str | None) -> str | None:
    """``ID=PATH`` with the path made absolute, if it exists."""
    id, equals, weights = (text or "").partition("=")
    return f"{id}={_absolute(weights)}" if equals and weights else text


def _absolute(text: str) -> str:
    """A path made absolute, if it exists."""
    path = Path(os.path.expanduser(text))
    return str(path.absolute()) if path.exists() else text
