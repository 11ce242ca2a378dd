"""The content hash a difference is bound to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..contracts import Addition
from ..errors import DiffinvError
from .files import atomic_write
from .paths import cache_folder, given_path

_SHA256 = re.compile(r"[0-9a-f]{64}")


def weights_id(files: Sequence[Path], additions: Sequence[Addition] = ()) -> str:
    """SHA-256 over the hashes of a model's weight files, in order, and of what was added to them.

    Files in the hub's cache are stored under their hash; others are read once, and their hashes
    kept until they change.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(_file_hash(file).encode())
    for added in additions:
        said = f"{added.kind}={content_hash(given_path(added.path))}:{added.weight!r}"
        digest.update(said.encode())
    return digest.hexdigest()


def content_hash(path: Path) -> str:
    """The SHA-256 of a file, or the one over the safetensors files of a folder."""
    return weights_id(sorted(path.glob("*.safetensors"))) if path.is_dir() else _file_hash(path)


def _file_hash(file: Path) -> str:
    real = file.resolve()
    if real.parent.name == "blobs" and _SHA256.fullmatch(real.name):
        return real.name
    state = real.stat()
    key = f"{real}|{state.st_size}|{state.st_mtime_ns}"
    known = _known()
    if key not in known:
        with real.open("rb") as opened:
            known[key] = hashlib.file_digest(opened, "sha256").hexdigest()
        _remember(known)
    return known[key]


def _store() -> Path:
    return cache_folder() / "weight-hashes.json"


def _known() -> dict[str, str]:
    try:
        table = json.loads(_store().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(table, dict):
        return {}
    return {k: v for k, v in table.items() if isinstance(v, str) and _SHA256.fullmatch(v)}


def _remember(known: dict[str, str]) -> None:
    try:
        atomic_write(_store(), json.dumps(known).encode())
    except DiffinvError:
        return  # without a writable cache it is only slower
