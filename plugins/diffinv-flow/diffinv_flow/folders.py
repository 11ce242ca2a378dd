"""Checkpoints in diffusers' layout, checked before anything is loaded. Light: no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diffinv.contracts import Use
from diffinv.errors import DiffinvError, UsageError
from diffinv.system.local_models import check_weights, find_model

PARTS = ("transformer", "vae", "text_encoder")
"""The folders with weights."""

_SCHEDULER = "FlowMatchEulerDiscreteScheduler"


@dataclass(frozen=True)
class Family:
    """Models of one kind: our id, what they are called, diffusers' class of the transformer, and
    the checkpoint that is meant if none is named."""

    id: str
    title: str
    transformer: str
    model: str


Z_IMAGE = Family("z-image", "Z-Image", "ZImageTransformer2DModel", "Tongyi-MAI/Z-Image")
KLEIN = Family(
    "flux2-klein",
    "FLUX.2 klein (base)",
    "Flux2Transformer2DModel",
    "black-forest-labs/FLUX.2-klein-base-4B",
)


def find_folder(family: Family, weights: str | None) -> Path:
    """The checkpoint's folder. Raises DiffinvError if it is incomplete, pickled, of another kind,
    or distilled to a few steps."""
    folder = find_model(weights or family.model)
    if not folder.is_dir():
        raise UsageError(
            f"{str(folder)!r} is not a folder; {family.id!r} takes one in diffusers' layout."
        )
    found = _read(folder, "transformer/config.json").get("_class_name")
    if found != family.transformer:
        raise UsageError(
            f"The model in {str(folder)!r} has a {found or 'nameless transformer'}, not a "
            f"{family.transformer}: it is not of the family {family.id!r}; name another --backbone."
        )
    scheduler = _read(folder, "scheduler/scheduler_config.json").get("_class_name")
    if scheduler != _SCHEDULER:
        raise UsageError(
            f"The model in {str(folder)!r} has a {scheduler}, which is no scheduler of a flow; get "
            "another copy of it."
        )
    if _read(folder, "model_index.json").get("is_distilled"):
        raise UsageError(
            f"The model in {str(folder)!r} is distilled to a few steps without guidance: nothing "
            f"can be learned on it, or edited with it; name the base model ({family.model})."
        )
    for part in PARTS:
        check_weights(folder / part)
    return folder


def weight_files(folder: Path) -> list[Path]:
    """All of a checkpoint's weights, in a fixed order."""
    return [file for part in PARTS for file in sorted((folder / part).glob("*.safetensors"))]


def preflight(family: Family, use: Use) -> list[str]:
    """A note on the memory that the weights take."""
    folder = find_folder(family, use.weights)
    gigabytes = sum(file.stat().st_size for file in weight_files(folder)) / 1e9
    if gigabytes < 1:
        return []
    return [
        f"The weights of {family.title} take {gigabytes:.0f} GB of memory; nothing is moved out of "
        "it yet."
    ]


preflight_z_image = partial(preflight, Z_IMAGE)
preflight_klein = partial(preflight, KLEIN)


def _read(folder: Path, file: str) -> dict[str, object]:
    try:
        found = json.loads((folder / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The folder {str(folder)!r} is not a model in diffusers' layout: {file} is missing or "
            "damaged."
        ) from error
    if not isinstance(found, dict):
        raise DiffinvError(f"The file {str(folder / file)!r} is damaged; get the model again.")
    return found
