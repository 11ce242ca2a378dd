"""A checkpoint of a Stable Diffusion family with random weights, in diffusers' layout.

Real-size (``bundled``: the plugin's own settings) or with few and narrow layers. It is loaded like
any other checkpoint; its pictures mean nothing, but its time and memory do.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import logging
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from diffinv_stable_diffusion.families import FAMILIES
from diffinv_stable_diffusion.single_file import clip_vocabulary
from diffinv_stable_diffusion.sources import CONFIGS

_SMALL_UNET = {"layers_per_block": 1, "norm_num_groups": 8}
_SMALL_WIDTHS = (32, 64, 64, 64)


def make_checkpoint(folder: Path, family: str, tiny: bool, dtype: torch.dtype) -> Path:
    """Write the checkpoint, unless it exists already."""
    if (folder / "made").is_file():
        return folder
    torch.manual_seed(0)
    _save(UNet2DConditionModel, unet_settings(family, tiny), folder / "unet", dtype)
    _save(AutoencoderKL, vae_settings(family, tiny), folder / "vae", dtype)
    for number, part in enumerate(("text_encoder", "text_encoder_2")[: FAMILIES[family].towers]):
        config = text_settings(family, part, tiny)
        cls = CLIPTextModelWithProjection if number else CLIPTextModel
        text = cls(CLIPTextConfig.from_dict(config)).to(dtype)
        text.save_pretrained(folder / part)
        _write_tokenizer(folder / part.replace("text_encoder", "tokenizer"), family)
    for file in ("scheduler/scheduler_config.json", "model_index.json"):
        if (CONFIGS / family / file).is_file():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes((CONFIGS / family / file).read_bytes())
    (folder / "made").touch()
    return folder


def set_side(folder: Path, side: int) -> None:
    """Set the side of the checkpoint's pictures to ``side`` pixels."""
    path = folder / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"sample_size": side // 8}))


def write_projection(path: Path, width: int, space: int) -> Path:
    """A random text projection [width, space], for families that lack one."""
    matrix = torch.randn(width, space, generator=torch.Generator().manual_seed(0)) / width**0.5
    save_file({"text_projection": matrix}, path)
    return path


def _save(cls: Any, config: dict[str, Any], folder: Path, dtype: torch.dtype) -> None:
    logging.set_verbosity_error()  # about a cast that changes nothing here
    cls.from_config(config).to(dtype).save_pretrained(folder)


def part_settings(family: str, part: str) -> dict[str, Any]:
    """A part's own settings."""
    settings: dict[str, Any] = json.loads((CONFIGS / family / part / "config.json").read_text())
    return settings


def text_settings(family: str, part: str, tiny: bool) -> dict[str, Any]:
    """A text encoder's, real or with few layers."""
    return part_settings(family, part) | ({"num_hidden_layers": 3} if tiny else {})


def unet_settings(family: str, tiny: bool) -> dict[str, Any]:
    """The denoiser's, real or with few and narrow layers."""
    config = part_settings(family, "unet")
    if not tiny:
        return config
    levels = len(config["block_out_channels"])
    heads = 2 if family == "sd15" else [2, 4, 4, 4][:levels]
    small = {"block_out_channels": _SMALL_WIDTHS[:levels], "attention_head_dim": heads}
    if family == "sdxl":
        small["transformer_layers_per_block"] = [1, 1, 2]
    return config | _SMALL_UNET | small


def vae_settings(family: str, tiny: bool) -> dict[str, Any]:
    """The autoencoder's, real or narrow."""
    small = {"block_out_channels": [16, 16, 16, 16], "layers_per_block": 1, "norm_num_groups": 8}
    return part_settings(family, "vae") | (small if tiny else {})


def _write_tokenizer(folder: Path, family: str) -> None:
    vocabulary, merges = clip_vocabulary(CONFIGS / "tokenizer" / "merges.txt.gz")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    settings = (CONFIGS / family / folder.name / "tokenizer_config.json").read_bytes()
    (folder / "tokenizer_config.json").write_bytes(settings)
