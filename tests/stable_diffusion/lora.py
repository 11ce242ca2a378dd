"""Writes LoRAs of tiny checkpoints, in the two layouts that are about."""

from __future__ import annotations

import re
from pathlib import Path

from ldm import unet_key
from tiny_sd import unet_config

_UNET = re.compile(r".*(attn[12]\.to_(q|k|v|out\.0)|ff\.net\.(0\.proj|2))\.weight")
_TEXT = re.compile(r".*(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])\.weight")
RANK, ALPHA = 2, 1.0


def random_lora(backbone, seed: int = 5) -> dict:
    """(down, up) for layers of denoiser and text encoders, by (place, the weight's name)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    models = {"unet": backbone.unet, "text_encoder": backbone.towers[0].model}
    if len(backbone.towers) > 1:
        models["text_encoder_2"] = backbone.towers[1].model
    found = {}
    for place, model in models.items():
        wanted = _UNET if place == "unet" else _TEXT
        for name, weight in model.state_dict().items():
            if wanted.fullmatch(name):
                down = torch.randn(RANK, weight.shape[1], generator=generator)
                up = torch.randn(weight.shape[0], RANK, generator=generator)
                found[place, name] = down, up
    return found


def write_diffusers(lora: dict, path: Path) -> Path:
    tensors = {}
    for (place, name), (down, up) in lora.items():
        module = name.removesuffix(".weight")
        if place != "unet":
            module = f"text_model.{module.removeprefix('text_model.')}"
        tensors[f"{place}.{module}.lora_A.weight"] = down
        tensors[f"{place}.{module}.lora_B.weight"] = up
    return save(tensors, path)


def write_kohya(lora: dict, path: Path, family: str) -> Path:
    """As sd-scripts does: SDXL's denoiser by its original names."""
    import torch

    config = unet_config(family)
    crossed = [block.startswith("Cross") for block in config["up_block_types"]]
    tensors = {}
    for (place, name), (down, up) in lora.items():
        if place == "unet" and family == "sdxl":
            name = unet_key(name, crossed, config["layers_per_block"])
        module = name.removesuffix(".weight").replace(".", "_")
        if place != "unet":
            module = f"text_model_{module.removeprefix('text_model_')}"
        first = "lora_te1" if family == "sdxl" else "lora_te"
        prefix = {"unet": "lora_unet", "text_encoder": first, "text_encoder_2": "lora_te2"}[place]
        tensors[f"{prefix}_{module}.lora_down.weight"] = down
        tensors[f"{prefix}_{module}.lora_up.weight"] = up
        tensors[f"{prefix}_{module}.alpha"] = torch.tensor(ALPHA)
    return save(tensors, path)


def save(tensors: dict, path: Path) -> Path:
    from safetensors.torch import save_file

    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return path
