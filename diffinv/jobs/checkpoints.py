"""Remembers where the checkpoints lie that differences were learned on.

A difference names the weights it was learned on by their hash, since paths are nobody else's
business. On the machine where it was learned, the path is found again by that hash.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..difference import DifferenceInfo
from ..errors import UsageError
from ..files import atomic_write
from ..paths import data_folder
from ..text import text_safe


def remember_checkpoint(backbone: str, weights_id: str, weights: str) -> None:
    """Keep what the user named as a backbone's weights: a path, or a hub id."""
    path = Path(weights).expanduser()
    known = str(path.absolute()) if path.exists() else weights
    atomic_write(_note(backbone, weights_id), known.encode("utf-8"))


def find_checkpoint(info: DifferenceInfo) -> str | None:
    """The weights that a difference was learned on; None where they were the backbone's own, or
    the difference is from elsewhere. Raises UsageError where they have gone."""
    try:
        known = _note(info.backbone, info.backbone_weights).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    if Path(known).is_absolute() and not Path(known).exists():
        raise UsageError(
            f"The difference {text_safe(info.name)!r} was learned on the checkpoint "
            f"{text_safe(known)!r}, which is not there any more; say where it is with "
            f"--backbone {text_safe(info.backbone)}=PATH."
        )
    return known


def _note(backbone: str, weights_id: str) -> Path:
    digest = hashlib.sha256(f"{backbone}={weights_id}".encode()).hexdigest()
    return data_folder() / "checkpoints" / f"{digest[:32]}.txt"
