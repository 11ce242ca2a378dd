"""Which part an option means: its spec, and the weights it names."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts import Kind, Spec
from ..difference import Difference
from ..errors import UsageError
from ..plugins.registry import Registry, option
from .remembered_weights import find_checkpoint


@dataclass(frozen=True)
class Part:
    """A plugin's part as an option names it: its spec, and weights other than the default."""

    spec: Spec
    weights: str | None = None


def parse_part(text: str) -> tuple[str, str | None]:
    """``ID`` or ``ID=PATH_OR_HUB_ID``, as options that name a plugin's part take it."""
    id, equals, weights = text.partition("=")
    if not id or (equals and not weights):
        raise UsageError(f"{text!r} is neither an ID nor ID=PATH.")
    return id, weights or None


def backbone_part(parts: Registry, text: str | None) -> Part:
    """The backbone the user names, else the first one installed."""
    if text is None:
        return Part(parts.default_backbone())
    return named_part(parts, "backbone", text)


def application_backbone(parts: Registry, text: str | None, difference: Difference) -> Part:
    """The backbone the user names, else the first difference's, with its weights."""
    if text is not None:
        return backbone_part(parts, text)
    spec = parts.get("backbone", difference.info.backbone)
    return Part(spec, find_checkpoint(difference.info))


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
    """A part and its weights as one short text."""
    return f"{part.spec.id}={part.weights or ''}" if part else ""
