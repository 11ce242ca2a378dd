"""What ``open-clip=...`` can name, and where its architecture and weights are on this machine.

A model folder (``open_clip_config.json`` beside a ``.safetensors`` file), a hub id fetched
before, a built-in architecture (``ViT-H-14``), or ``ARCHITECTURE:FILE.safetensors``. Nothing is
downloaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffinv.errors import DiffinvError, UsageError
from diffinv.system.local_models import cached_snapshot, check_weights, find_model, refuse_pickled
from diffinv.system.paths import given_path

QUICK = "-quickgelu"
"""The suffix of architectures that use OpenAI's own approximation of GELU."""

CONFIG = "open_clip_config.json"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")


@dataclass(frozen=True)
class Family:
    """A joint space that backbones name: its architecture, its GELU, and the usual weights."""

    architecture: str
    hub_id: str
    quick_gelu: bool = False
    stand_ins: tuple[str, ...] = ()
    """Other weights of the architecture, which are taken if only they are here."""

    @property
    def space(self) -> str:
        """The id of the joint space."""
        return f"open-clip:{self.architecture}"

    @property
    def builtin(self) -> str:
        """The name of the family's architecture with its own GELU."""
        return self.architecture + (QUICK if self.quick_gelu else "")


_STAND_INS_L = (
    "timm/vit_large_patch14_clip_224.metaclip_400m",
    "timm/vit_large_patch14_clip_224.metaclip_2pt5b",
    "apple/DFN2B-CLIP-ViT-L-14",
)
_STAND_INS_H = ("timm/vit_huge_patch14_clip_224.metaclip_altogether",)

FAMILIES = (
    Family("ViT-L-14", "timm/vit_large_patch14_clip_224.openai", True, _STAND_INS_L),
    Family("ViT-H-14", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", stand_ins=_STAND_INS_H),
    Family("ViT-bigG-14", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
)
DEFAULT = FAMILIES[1]
DINOV2 = "facebook/dinov2-base"
"""The usual weights of DINOv2."""


@dataclass(frozen=True)
class Source:
    """A model on this machine: open_clip's ``model_cfg``, its weights and its preprocessing."""

    model: dict[str, Any]
    checkpoint: Path
    preprocess: dict[str, Any] = field(default_factory=dict)


def find_source(weights: str | None, architecture: str | None = None) -> Source:
    """The model that ``ID=weights`` names.

    ``architecture`` is the one the id stands for; None for an id that takes any model.
    """
    if weights is None:
        return _named(architecture or DEFAULT.builtin)
    head, colon, tail = weights.partition(":")
    if colon and _is_architecture(head):
        return _from_file(given_path(tail), head)
    if not given_path(weights).exists() and _is_architecture(weights):
        return _named(weights)
    found = find_model(weights)
    return _from_file(found, architecture) if found.is_file() else _from_folder(found)


def builtin_config(architecture: str) -> dict[str, Any]:
    """The ``model_cfg`` of a built-in architecture."""
    from open_clip import get_model_config

    return dict(get_model_config(architecture))


def _is_architecture(name: str) -> bool:
    from open_clip import list_models

    return name in list_models()


def _named(architecture: str) -> Source:
    """A built-in architecture with weights for it that were fetched before."""
    wanted = _hub_ids(architecture)
    for hub_id in wanted:
        if snapshot := cached_snapshot(hub_id):
            return _from_folder(snapshot)
    pull = f"fetch it with 'diffinv models pull {wanted[0]}', or " if wanted else ""
    raise DiffinvError(
        f"The model {architecture} is not on this machine: {pull}name a folder that holds it as "
        "--delta-encoder open-clip=FOLDER."
    )


def _hub_ids(architecture: str) -> list[str]:
    """Where to get an architecture's weights; a family's usual ones come first."""
    from open_clip import get_pretrained_cfg, list_pretrained_tags_by_model

    own = [family.hub_id for family in FAMILIES if architecture == family.builtin]
    tags = list_pretrained_tags_by_model(architecture)
    configs = [get_pretrained_cfg(architecture, tag) for tag in tags]
    quick = bool(builtin_config(architecture).get("quick_gelu"))
    same = [config for config in configs if bool(config.get("quick_gelu")) == quick]
    others = [str(config.get("hf_hub") or "").strip("/") for config in same]
    return list(dict.fromkeys([*own, *(hub_id for hub_id in others if hub_id.count("/") == 1)]))


def _from_folder(folder: Path) -> Source:
    path = folder / CONFIG
    if not path.is_file():
        raise DiffinvError(
            f"The folder {str(folder)!r} is not an open_clip model: it has no {CONFIG}."
        )
    config = _read_config(path)
    names = sorted(p.name for p in folder.glob("*.safetensors"))
    usual = [name for name in _WEIGHTS if name in names]
    if not usual:  # part of the same model in transformers' layout may be beside them
        check_weights(folder)
    if not usual and len(names) > 1:
        raise DiffinvError(
            f"The folder {str(folder)!r} holds several weights and none is called "
            f"{_WEIGHTS[0]!r}; name one of them as open-clip=ARCHITECTURE:FILE."
        )
    return Source(config["model_cfg"], folder / (usual or names)[0], config["preprocess_cfg"])


def _from_file(path: Path, architecture: str | None) -> Source:
    """One checkpoint, whose architecture is named, or described beside it."""
    if not path.is_file():
        raise DiffinvError(f"There is no file {str(path)!r}.")
    refuse_pickled(path)
    if path.suffix != ".safetensors":
        raise DiffinvError(f"{str(path)!r} is not a .safetensors file.")
    if architecture is not None:
        return Source(builtin_config(architecture), path)
    if not (path.parent / CONFIG).is_file():
        raise UsageError(
            "A checkpoint alone does not say what it is: name its architecture, as in "
            f"open-clip=ViT-H-14:{path} (for OpenAI's weights ViT-L-14{QUICK})."
        )
    config = _read_config(path.parent / CONFIG)
    return Source(config["model_cfg"], path, config["preprocess_cfg"])


def _read_config(path: Path) -> dict[str, Any]:
    """``model_cfg`` and ``preprocess_cfg`` of a model folder."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        model = dict(config["model_cfg"])
        preprocess = dict(config.get("preprocess_cfg") or {})
        complete = {"embed_dim", "vision_cfg", "text_cfg"} <= set(model)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise DiffinvError(f"{str(path)!r} does not describe an open_clip model.")
    return {"model_cfg": model, "preprocess_cfg": preprocess}
