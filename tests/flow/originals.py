"""Writes a transformer in diffusers' layout as one file in the original programs' names."""

from __future__ import annotations

import re

import torch
from safetensors.torch import load_file, save_file

_KLEIN = {
    "time_guidance_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_guidance_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear",
    "double_stream_modulation_img.linear": "double_stream_modulation_img.lin",
    "double_stream_modulation_txt.linear": "double_stream_modulation_txt.lin",
    "single_stream_modulation.linear": "single_stream_modulation.lin",
    "single_transformer_blocks.0.attn.to_qkv_mlp_proj": "single_blocks.0.linear1",
    "single_transformer_blocks.0.attn.to_out": "single_blocks.0.linear2",
    "transformer_blocks.0.attn.to_out.0": "double_blocks.0.img_attn.proj",
    "transformer_blocks.0.attn.to_add_out": "double_blocks.0.txt_attn.proj",
    "transformer_blocks.0.ff.linear_in": "double_blocks.0.img_mlp.0",
    "transformer_blocks.0.ff.linear_out": "double_blocks.0.img_mlp.2",
    "transformer_blocks.0.ff_context.linear_in": "double_blocks.0.txt_mlp.0",
    "transformer_blocks.0.ff_context.linear_out": "double_blocks.0.txt_mlp.2",
}  # fmt: skip
_KLEIN_NORMS = {
    "single_transformer_blocks.0.attn.norm_q": "single_blocks.0.norm.query_norm",
    "single_transformer_blocks.0.attn.norm_k": "single_blocks.0.norm.key_norm",
    "transformer_blocks.0.attn.norm_q": "double_blocks.0.img_attn.norm.query_norm",
    "transformer_blocks.0.attn.norm_k": "double_blocks.0.img_attn.norm.key_norm",
    "transformer_blocks.0.attn.norm_added_q": "double_blocks.0.txt_attn.norm.query_norm",
    "transformer_blocks.0.attn.norm_added_k": "double_blocks.0.txt_attn.norm.key_norm",
}
_Z_IMAGE = {
    "all_x_embedder.2-1.": "x_embedder.", "all_final_layer.2-1.": "final_layer.",
    ".norm_q.": ".q_norm.", ".norm_k.": ".k_norm.", ".to_out.0.": ".out.",
}  # fmt: skip


def weights_of(folder):
    """A transformer's weights as diffusers names them."""
    (file,) = (folder / "transformer").glob("*.safetensors")
    return load_file(file)


def klein_original(folder):
    """Its weights as its authors name them: q, k and v in one, shift before scale."""
    weights, found = weights_of(folder), {}
    block = "transformer_blocks.0.attn"
    for stream, name in (("img", "to_{}"), ("txt", "add_{}_proj")):
        three = [weights.pop(f"{block}.{name.format(letter)}.weight") for letter in "qkv"]
        found[f"double_blocks.0.{stream}_attn.qkv.weight"] = torch.cat(three)
    scale, shift = weights.pop("norm_out.linear.weight").chunk(2)
    found["final_layer.adaLN_modulation.1.weight"] = torch.cat([shift, scale])
    for key, value in weights.items():
        name = key.removesuffix(".weight")
        norm = _KLEIN_NORMS.get(name)
        found[f"{norm}.scale" if norm else f"{_KLEIN[name]}.weight"] = value
    return found


def z_image_original(folder):
    """Its weights as its authors name them: q, k and v in one."""
    weights, found = weights_of(folder), {}
    for key in [key for key in weights if key.endswith(".to_q.weight")]:
        three = [weights.pop(key.replace("to_q", f"to_{letter}")) for letter in "qkv"]
        found[key.replace("to_q", "qkv")] = torch.cat(three)
    for key, value in weights.items():
        name = key
        for ours, theirs in _Z_IMAGE.items():
            name = name.replace(ours, theirs)
        found[name] = value
    return found


def in_eight_bits(tensors, scaled):
    """Matrices in fp8, with scales beside them as ComfyUI's or the authors' files have them."""
    found = {}
    for key, value in tensors.items():
        if value.ndim != 2 or not re.fullmatch(r".*(weight)", key):
            found[key] = value.to(torch.bfloat16)
            continue
        scale = value.abs().max() / 400 if scaled else torch.tensor(1.0)
        found[key] = (value / scale).to(torch.float8_e4m3fn)
        if scaled:
            layer = key.removesuffix(".weight")
            found |= {f"{layer}.{scaled}": scale, f"{layer}.input_scale": torch.tensor(1.0)}
    return found


def write(tensors, path, prefix=""):
    """One file, its names behind a prefix."""
    save_file({prefix + key: value.contiguous() for key, value in tensors.items()}, path)
    return path
