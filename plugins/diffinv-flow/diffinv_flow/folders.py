"""A checkpoint in diffusers' layout, checked before anything is loaded. Light: no torch."""

from __future__ import annotations

import json
from pathlib import Path

from diffinv.contracts import Use
from diffinv.errors import UsageError
from diffinv.system.local_models import check_weights, find_model

from .plugin import Z_IMAGE

PARTS = ("transformer", "vae", "text_encoder")
"""The folders with weights."""

_TRANSFORMER = "ZImageTransformer2DModel"
_SCHEDULERS = ("FlowMatchEulerDiscreteScheduler",)


def find_folder(weights: str | None) -> Path:
    """The checkpoint's folder. Raises DiffinvError if it is incomplete, pickled, or of another
    kind."""
    folder = find_model(weights or Z_IMAGE)
    if not folder.is_dir():
        raise UsageError(
            f"{str(folder)!r} is not a folder; 'z-image' takes one in diffusers' layout."
        )
    found = _read(folder, "transformer/config.json").get("_class_name")
    if found != _TRANSFORMER:
        raise UsageError(
            f"The model in {str(folder)!r} has a {found or 'nameless transformer'}, not a "
            f"{_TRANSFORMER}: it is not of the family 'z-image'; name another --backbone."
        )
    scheduler = _read(folder, "scheduler/scheduler_config.json").get("_class_name")
    if scheduler not in _SCHEDULERS:
        raise UsageError(
            f"The model in {str(folder)!r} has a {scheduler}, which is no scheduler of a flow; get "
            "another copy of it."
        )
    for part in PARTS:
        check_weights(folder / part)
    return folder


def weight_files(folder: Path) -> list[Path]:
    """All of a checkpoint's weights, in a fixed order."""
    return [file for part in PARTS for file in sorted((folder / part).glob("*.safetensors"))]


def preflight(use: Use) -> list[str]:
    """A note on the memory that the weights take."""
    folder = find_folder(use.weights)
    gigabytes = sum(file.stat().st_size for file in weight_files(folder)) / 1e9
    if gigabytes < 1:
        return []
    return [f"Z-Image's weights take {gigabytes:.0f} GB of memory; nothing is moved out of it yet."]


def _read(folder: Path, file: str) -> dict[str, object]:
    try:
        found = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The folder {str(folder)!r} is not a model in diffusers' layout: {file} is missing or "
            "damaged."
        ) from error
    return found if isinstance(found, dict) else {}
