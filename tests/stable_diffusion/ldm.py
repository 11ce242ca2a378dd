"""Writes a folder in diffusers' layout as one file in the original programs' layout."""

from __future__ import annotations

import re
from pathlib import Path

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET_TOP = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_CLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip
_CLIP_TOP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}


def unet_key(key: str, crossed: list[bool], per_block: int) -> str:
    """``crossed`` says of each up block whether it has attention, ``per_block`` its layers."""
    name, kind = key.rsplit(".", 1)
    if name in _UNET_TOP:
        return f"{_UNET_TOP[name]}.{kind}"
    place, rest = _unet_place(name, crossed, per_block)
    if rest in _RESNET:
        rest = _RESNET[rest]
    return f"{place}.{rest}.{kind}" if rest else f"{place}.{kind}"


def _unet_place(name: str, crossed: list[bool], per_block: int) -> tuple[str, str]:
    down, up = per_block + 1, per_block + 1
    if m := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", name):
        return f"middle_block.{2 * int(m[2]) if m[1] == 'resnets' else 1}", m[3]
    if m := re.fullmatch(r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        index = down * int(m[1]) + int(m[3]) + 1
        return f"input_blocks.{index}.{int(m[2] == 'attentions')}", m[4]
    if m := re.fullmatch(r"down_blocks\.(\d)\.downsamplers\.0\.conv", name):
        return f"input_blocks.{down * (int(m[1]) + 1)}.0.op", ""
    if m := re.fullmatch(r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)\.(.*)", name):
        index = up * int(m[1]) + int(m[3])
        return f"output_blocks.{index}.{int(m[2] == 'attentions')}", m[4]
    m = re.fullmatch(r"up_blocks\.(\d)\.upsamplers\.0\.conv", name)
    assert m, name
    block = int(m[1])
    return f"output_blocks.{up * block + up - 1}.{1 + crossed[block]}.conv", ""


def vae_key(key: str, levels: int) -> str:
    name, kind = key.rsplit(".", 1)
    m = re.fullmatch(r"(encoder|decoder)\.(down|up)_blocks\.(\d)\.(.*)", name)
    if m:
        level = int(m[3]) if m[2] == "down" else levels - 1 - int(m[3])
        rest = re.sub(r"resnets\.(\d)", r"block.\1", m[4])
        rest = rest.replace("conv_shortcut", "nin_shortcut")
        rest = re.sub(r"(down|up)samplers\.0\.conv", r"\1sample.conv", rest)
        return f"{m[1]}.{m[2]}.{level}.{rest}.{kind}"
    name = name.replace("conv_norm_out", "norm_out")
    if m := re.fullmatch(r"(encoder|decoder)\.mid_block\.resnets\.(\d)\.(.*)", name):
        return f"{m[1]}.mid.block_{int(m[2]) + 1}.{m[3]}.{kind}"
    if m := re.fullmatch(r"(encoder|decoder)\.mid_block\.attentions\.0\.(.*)", name):
        return f"{m[1]}.mid.attn_1.{_ATTENTION[m[2]]}.{kind}"
    return f"{name}.{kind}"


def open_clip_tensors(weights: dict) -> dict:
    """transformers' text encoder as OpenCLIP has it."""
    import torch

    weights = {key.removeprefix("text_model."): value for key, value in weights.items()}
    out = {_CLIP_TOP[key]: value for key, value in weights.items() if key in _CLIP_TOP}
    if "text_projection.weight" in weights:
        out["text_projection"] = weights["text_projection.weight"].T.contiguous()
    for key, value in weights.items():
        m = re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", key)
        if m and m[2] in _CLIP:
            out[f"transformer.resblocks.{m[1]}.{_CLIP[m[2]]}.{m[3]}"] = value
        elif m and m[2] == "self_attn.q_proj":
            three = [weights[key.replace("q_proj", f"{n}_proj")] for n in "qkv"]
            out[f"transformer.resblocks.{m[1]}.attn.in_proj_{m[3]}"] = torch.cat(three)
    return out


def write_single_file(folder: Path, path: Path, family: str) -> Path:
    from safetensors.torch import load_file, save_file
    from tiny_sd import unet_config, vae_config

    unet = unet_config(family)
    crossed = [block.startswith("Cross") for block in unet["up_block_types"]]
    tensors = {}
    for key, value in load_file(folder / "unet/diffusion_pytorch_model.safetensors").items():
        name = unet_key(key, crossed, unet["layers_per_block"])
        tensors[f"model.diffusion_model.{name}"] = value
    levels = len(vae_config(family)["block_out_channels"])
    for key, value in load_file(folder / "vae/diffusion_pytorch_model.safetensors").items():
        name = vae_key(key, levels)
        square = ".attn_1." in name and value.ndim == 2
        tensors[f"first_stage_model.{name}"] = value[:, :, None, None] if square else value
    first = load_file(folder / "text_encoder/model.safetensors")
    first = {key.removeprefix("text_model."): value for key, value in first.items()}
    if family.startswith("sd21"):
        tensors |= {f"cond_stage_model.model.{k}": v for k, v in open_clip_tensors(first).items()}
    else:
        prefix = "conditioner.embedders.0" if family == "sdxl" else "cond_stage_model"
        tensors |= {f"{prefix}.transformer.text_model.{k}": v for k, v in first.items()}
    if family == "sdxl":
        second = open_clip_tensors(load_file(folder / "text_encoder_2/model.safetensors"))
        tensors |= {f"conditioner.embedders.1.model.{k}": v for k, v in second.items()}
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    return path
