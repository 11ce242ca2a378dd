"""Which part an option means: its spec, and the weights it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..contracts import Addition, Kind, Spec
from ..difference import Difference
from ..errors import UsageError
from ..plugins.registry import Registry, option
from ..system.text import text_safe
from .additions import additions_again, check_additions
from .remembered_weights import find_checkpoint


@dataclass(frozen=True)
class Part:
    """A plugin's part as options name it: its spec, weights other than the default, and what is
    added to them."""

    spec: Spec
    weights: str | None = None
    additions: tuple[Addition, ...] = ()


def parse_part(text: str) -> tuple[str, str | None]:
    """``ID`` or ``ID=PATH_OR_HUB_ID``, as options that name a plugin's part take it."""
    id, equals, weights = text.partition("=")
    if not id or (equals and not weights):
        raise UsageError(f"{text!r} is neither an ID nor ID=PATH.")
    return id, weights or None


def backbone_part(parts: Registry, text: str | None, additions: Sequence[Addition] = ()) -> Part:
    """The backbone the user names, else the first one installed, with additions that it takes."""
    id, weights = parse_part(text) if text is not None else (None, None)
    spec = parts.default_backbone() if id is None else parts.get("backbone", id)
    check_additions(spec, additions)
    return Part(spec, weights, tuple(additions))


def application_backbone(
    parts: Registry, text: str | None, difference: Difference, given: Sequence[Addition]
) -> Part:
    """The backbone the user names, else the first difference's, with its weights; and with what was
    added to them when it was learned, unless the difference fits any. Raises UsageError if that is
    not there, or if something else is ``given``."""
    info = difference.info
    found = backbone_part(parts, info.backbone if text is None else text, given)
    if text is None:
        found = replace(found, weights=find_checkpoint(info))
    if not info.is_bound and (given or text is not None):
        return found
    what = f"The difference {text_safe(info.name)!r}"
    return replace(found, additions=additions_again(what, info.additions, given))


def named_part(parts: Registry, kind: Kind, text: str) -> Part:
    """The part that ``ID`` or ``ID=PATH`` names."""
    id, weights = parse_part(text)
    return Part(parts.get(kind, id), weights)


def suited_part(
    parts: Registry, kind: Kind, text: str | None, backbone: Spec, suited: str | None
) -> Part:
    """The part the user named, else the one the backbone's spec names; UsageError if neither."""
    wanted = text or suited
    if wanted is None:
        raise UsageError(
            f"The backbone {backbone.id!r} names no {kind} of its own; choose one with "
            f"{option(kind)}."
        )
    return named_part(parts, kind, wanted)


def part_id(part: Part | None) -> str:
    """A part, its weights and what is added to them as one text."""
    if part is None:
        return ""
    added = "".join(f"+{a.kind}={a.path}:{a.weight!r}" for a in part.additions)
    return f"{part.spec.id}={part.weights or ''}{added}"
