"""The content hash a difference is bound to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import DiffinvError
from .files import atomic_write
from .paths import cache_folder

_SHA256 = re.compile(r"[0-9a-f]{64}")


def weights_id(files: Sequence[Path]) -> str:
    """SHA-256 over the hashes of a model's weight files, in order.

    Files in the hub's cache are stored under their hash; others are read once, and their hashes
    kept until they change.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(_file_hash(file).encode())
    return digest.hexdigest()


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
