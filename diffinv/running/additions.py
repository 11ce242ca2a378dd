"""What is added to a backbone's checkpoint: named by the user, written down without its place, and
found again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TypeAlias

from ..contracts import Addition, AdditionKind, BackboneSpec
from ..difference import Added, Difference, added_in_words
from ..errors import UsageError
from ..system.paths import given_path
from ..system.text import text_safe
from ..system.weights import content_hash
from .remembered_weights import find_addition

NamedPath: TypeAlias = str | PathLike[str]


def named_additions(
    vae: NamedPath | None, text_encoders: Iterable[NamedPath], loras: Iterable[NamedPath]
) -> tuple[Addition, ...]:
    """What options name; a LoRA is ``PATH`` or ``PATH:WEIGHT``."""
    paths: list[tuple[AdditionKind, str]] = [("vae", fspath(vae))] if vae else []
    paths += [("text_encoder", fspath(path)) for path in text_encoders]
    parts = [Addition(kind, path) for kind, path in paths]
    return (*parts, *(_lora(fspath(text)) for text in loras))


def _lora(text: str) -> Addition:
    path, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon and path else math.nan
    except ValueError:
        weight = math.nan
    return Addition("lora", text) if math.isnan(weight) else Addition("lora", path, weight)


def check_additions(spec: BackboneSpec, additions: Sequence[Addition]) -> None:
    """Refuse what a backbone does not take, and paths that lead nowhere."""
    for added in additions:
        option, shown = option_of(added.kind), text_safe(added.path)
        if added.kind not in spec.additions:
            raise UsageError(f"The backbone {spec.id!r} takes no {option}; leave it out.")
        if not given_path(added.path).exists():
            raise UsageError(f"{option} {shown!r} is neither a file nor a folder; check the path.")
        if not math.isfinite(added.weight):
            raise UsageError(f"{option} {shown!r} has the weight {added.weight}; give a number.")


def option_of(kind: str) -> str:
    """The option of the command line for a kind of addition."""
    return "--" + kind.replace("_", "-")


def written_down(additions: Sequence[Addition]) -> tuple[Added, ...]:
    """Additions without their places, as a difference and a result remember them."""
    return tuple(_written(added) for added in additions)


def _written(added: Addition) -> Added:
    path = given_path(added.path)
    return Added(added.kind, path.absolute().name, content_hash(path), added.weight)


def additions_again(
    what: str, written: Sequence[Added], given: Sequence[Addition]
) -> tuple[Addition, ...]:
    """The additions that ``what`` (worded to begin a sentence) was made with: those ``given``, else
    the files where they last were on this machine.

    Raises UsageError if what is given is something else, or if a file is not there any more.
    """
    if not given:
        return tuple(_found(what, added) for added in written)
    known = {_hash_key(_written(addition)): addition for addition in given}
    wanted = [(known.pop(_hash_key(added), None), added) for added in written]
    found = [addition or _found(what, added) for addition, added in wanted]
    if known:
        others = " and ".join(f"{option_of(a.kind)} {_as_named(a)!r}" for a in known.values())
        raise UsageError(
            f"{what} was made with {added_in_words(written) or 'nothing added'}, not with "
            f"{others}; leave that out, or learn the difference again with it."
        )
    return tuple(found)


def _hash_key(added: Added) -> tuple[str, str, float]:
    return added.kind, added.sha256, added.weight


def _as_named(added: Addition) -> str:
    return text_safe(Path(added.path).name) + (f":{added.weight:g}" if added.kind == "lora" else "")


def _found(what: str, added: Added) -> Addition:
    path = find_addition(added)
    kind: AdditionKind = added.kind  # type: ignore[assignment]  # checked when it was read
    if path is not None and path.exists() and content_hash(path) == added.sha256:
        return Addition(kind, str(path), added.weight)
    weight = f":{added.weight:g}" if added.kind == "lora" else ""
    where = f"was at {text_safe(str(path))!r} and is not any more" if path else "is not known here"
    raise UsageError(
        f"{what} was made with {added}, which {where}; say where it is with "
        f"{option_of(added.kind)} PATH{weight} (its SHA-256 begins with {added.sha256[:12]})."
    )


def check_alike(differences: Sequence[Difference], written: Sequence[Added]) -> None:
    """Refuse a difference that was learned with other additions than ``written``."""
    wanted = [_hash_key(added) for added in written]
    for difference in differences:
        info = difference.info
        if info.is_bound and [_hash_key(a) for a in info.additions] != wanted:
            raise UsageError(
                f"The difference {text_safe(info.name)!r} was learned with "
                f"{added_in_words(info.additions) or 'nothing added'} and the model is to be used "
                f"with {added_in_words(written) or 'nothing added'}; the two must be the same."
            )
