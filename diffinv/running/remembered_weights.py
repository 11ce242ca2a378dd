"""Remembers where the weights are that differences were learned with.

A difference names the checkpoint it was learned on by hash, since paths are private. On the
machine where it was learned, that hash finds the path again; the path of its delta encoder's
weights, which have no hash, is found by the difference's own hash.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path

from ..contracts import Addition
from ..difference import Added, DifferenceInfo
from ..errors import DiffinvError, UsageError
from ..system.files import atomic_write
from ..system.paths import data_folder, given_path
from ..system.text import text_safe


def remember_weights(
    info: DifferenceInfo,
    backbone: str | None,
    additions: Sequence[Addition],
    delta_encoder: str | None,
) -> None:
    """Remember the weights needed for applying a difference, if they were named: the backbone's,
    what was added to them, and the delta encoder's, for words and hard prompts. Failing to must not
    lose the result."""
    with contextlib.suppress(DiffinvError):
        if backbone:
            remember_checkpoint(info.backbone, info.backbone_weights, backbone)
        remember_additions(info.additions, additions)
        if delta_encoder:
            remember_encoder(info, delta_encoder)


def remember_checkpoint(backbone: str, weights_id: str, weights: str) -> None:
    """Remember what the user named as a backbone's weights: a path or a hub id."""
    _remember(_note(backbone, weights_id), weights)


def find_checkpoint(info: DifferenceInfo) -> str | None:
    """The weights a difference was learned on; None if they were the backbone's default, or the
    difference is from elsewhere. Raises UsageError if they are gone."""
    known = _known(_note(info.backbone, info.backbone_weights))
    if known and _has_gone(known):
        raise UsageError(
            f"The difference {text_safe(info.name)!r} was learned on the checkpoint "
            f"{text_safe(known)!r}, which is no longer there; say where it is with "
            f"--backbone {text_safe(info.backbone)}=PATH."
        )
    return known


def remember_additions(written: Sequence[Added], additions: Sequence[Addition]) -> None:
    """Remember where the additions of a difference are."""
    for added, named in zip(written, additions, strict=True):
        _remember(_note(added.kind, added.sha256), named.path)


def find_addition(added: Added) -> Path | None:
    """Where an addition last was; None if it is from elsewhere."""
    known = _known(_note(added.kind, added.sha256))
    return Path(known) if known else None


def remember_encoder(info: DifferenceInfo, weights: str) -> None:
    """Remember what the user named as the weights of a difference's delta encoder."""
    _remember(_note(info.delta_encoder, info.hash_sha256), weights)


def find_encoder(info: DifferenceInfo) -> str | None:
    """The weights of a difference's delta encoder; None if they were the encoder's default, or the
    difference is from elsewhere. Raises UsageError if they are gone."""
    known = _known(_note(info.delta_encoder, info.hash_sha256))
    if known and _has_gone(known):
        raise UsageError(
            f"its weights {text_safe(known)!r} are no longer there; put them back, or say what "
            "the picture shows with --prompt-b."
        )
    return known


def _remember(note: Path, weights: str) -> None:
    path = given_path(weights)
    known = str(path.absolute()) if path.exists() else weights
    atomic_write(note, known.encode("utf-8"))


def _known(note: Path) -> str | None:
    try:
        return note.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _has_gone(weights: str) -> bool:
    return Path(weights).is_absolute() and not Path(weights).exists()


def _note(part: str, hash: str) -> Path:
    digest = hashlib.sha256(f"{part}={hash}".encode()).hexdigest()
    return data_folder() / "checkpoints" / f"{digest[:32]}.txt"
