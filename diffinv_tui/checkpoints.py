"""Checkpoints of the user's own, as preferences keep them: ``KIND:ID=PATH``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffinv.contracts import Kind, Spec


def own_parts(checkpoints: Sequence[str], kind: Kind) -> list[tuple[str, str]]:
    """The (id, path) of those for one kind of parts."""
    found = []
    for entry in checkpoints:
        of_kind, _, part = entry.partition(":")
        id, equals, path = part.partition("=")
        if of_kind == kind and equals and path:
            found.append((id, path))
    return found


def entry(kind: Kind, id: str, path: str) -> str:
    """How preferences keep it."""
    return f"{kind}:{id}={path}"


def choices(
    specs: Mapping[str, Spec], checkpoints: Sequence[str], kind: Kind
) -> list[tuple[str, str]]:
    """What can be chosen of a kind, as (shown, ID or ID=PATH): each part, then those with weights
    of the user's own."""
    own = [(id, path) for id, path in own_parts(checkpoints, kind) if id in specs]
    return [
        *((spec.title, id) for id, spec in specs.items()),
        *((own_title(specs[id], path), f"{id}={path}") for id, path in own),
    ]


def own_title(spec: Spec, path: str) -> str:
    """What a part with other weights is called: by their file or folder."""
    return f"{Path(path).stem or path} ({spec.title})"
