"""Builds an open_clip network from a source: complete weights or an error, never random ones."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from open_clip import CLIP, CustomTextCLIP, list_models
from open_clip.model import CLIPTextCfg, CLIPVisionCfg, convert_to_custom_text_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from diffinv.errors import DiffinvError

from .sources import FAMILIES, QUICK, Source, builtin_config


def build(source: Source, device: torch.device) -> Any:
    """The network in float32, in eval mode, frozen."""
    config = dict(source.model)
    _check_native(config, source.checkpoint)
    custom = bool(config.pop("custom_text", False))
    vision = dict(config.pop("vision_cfg")) | {"timm_model_pretrained": False}
    try:
        with init_empty_weights(include_buffers=False):
            model = (CustomTextCLIP if custom else CLIP)(
                vision_cfg=CLIPVisionCfg(**vision),
                text_cfg=CLIPTextCfg(**config.pop("text_cfg")),
                **config,
            )
    except (TypeError, ValueError, AssertionError) as error:
        raise DiffinvError(
            f"open_clip cannot build the configuration of {str(source.checkpoint)!r}: {error}."
        ) from error
    state = _read(source.checkpoint)
    state = convert_to_custom_text_state_dict(state) if custom else state
    _check_fit(model, state, source)
    model.load_state_dict(state, strict=False, assign=True)
    return model.to(device).eval().requires_grad_(False)


def space_of(model: dict[str, Any]) -> str:
    """The joint space of a configuration: ``open-clip:`` and the architecture's name.

    A known architecture whose GELU is not that of its usual weights is another space, and so is an
    unnamed architecture.
    """
    own = _shape(model)
    for family in FAMILIES:
        if own == _shape(builtin_config(family.builtin)):
            return family.space
    taken = {family.architecture for family in FAMILIES}
    for name in list_models():
        if own == _shape(builtin_config(name)):
            return f"open-clip:{name}" + ("-gelu" if name in taken else "")
    digest = hashlib.sha256(json.dumps(model, sort_keys=True).encode()).hexdigest()
    return f"open-clip:custom-{digest[:8]}"


def _shape(model: dict[str, Any]) -> tuple[Any, ...]:
    """What tells architectures apart, with all defaults spelt out."""
    try:
        vision = asdict(CLIPVisionCfg(**model["vision_cfg"]))
        text = asdict(CLIPTextCfg(**model["text_cfg"]))
    except TypeError:
        return (model,)
    return model["embed_dim"], vision, text, bool(model.get("quick_gelu"))


def _check_native(config: dict[str, Any], checkpoint: Path) -> None:
    """Refuse other libraries' text towers and tokenizers, which would be fetched from the hub."""
    text = config["text_cfg"]
    if text.get("hf_model_name") or text.get("hf_tokenizer_name"):
        raise DiffinvError(
            f"{str(checkpoint)!r} has no text tower of CLIP's own kind; "
            f"use one like {FAMILIES[1].architecture}."
        )


def _read(checkpoint: Path) -> dict[str, Tensor]:
    try:
        state = load_file(checkpoint)
    except (SafetensorError, OSError) as error:
        raise DiffinvError(
            f"{str(checkpoint)!r} is not a complete .safetensors file; get it again."
        ) from error
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def _check_fit(model: nn.Module, state: dict[str, Tensor], source: Source) -> None:
    """Refuse a checkpoint of another architecture, naming the first tensor that does not fit."""
    what = f"The checkpoint {str(source.checkpoint)!r} does not fit the architecture"
    for name, wanted in model.state_dict().items():
        found = state.get(name)
        if found is None:
            raise DiffinvError(f"{what}: it has no {name!r}.")
        if found.numel() == wanted.numel() == 1:
            state[name] = found.reshape(wanted.shape)
        elif found.shape != wanted.shape:
            raise DiffinvError(
                f"{what}: {name!r} is {_by(found)}, not {_by(wanted)}; name the right one, "
                f"as in open-clip=ViT-L-14{QUICK}:FILE."
            )


def _by(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
