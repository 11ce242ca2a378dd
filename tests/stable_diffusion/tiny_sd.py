"""Tiny random checkpoints with the shapes of the real ones, of every family."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

FAMILIES = ("sd15", "sd21-base", "sd21", "sdxl")
MERGES = (
    ("a", "b"), ("i", "n"), ("t", "h"), ("th", "e</w>"), ("c", "a"), ("ca", "t</w>"),
    ("r", "e"), ("re", "d</w>"), ("b", "l"), ("bl", "u"), ("blu", "e</w>"), ("d", "o"),
    ("do", "g</w>"),
)  # fmt: skip
WIDTHS = (32, 48)
POOLED = 40


def bundled(family: str, part: str, file: str = "config.json") -> dict:
    from diffinv_stable_diffusion.sources import CONFIGS

    return json.loads((CONFIGS / family / part / file).read_text())


def unet_config(family: str) -> dict:
    levels = len(bundled(family, "unet")["block_out_channels"])
    small = {
        "sample_size": 8,
        "block_out_channels": [8, 16, 16, 16][:levels],
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 2 if family == "sd15" else [1, 2, 2, 2][:levels],
        "cross_attention_dim": sum(WIDTHS) if family == "sdxl" else WIDTHS[0],
    }
    if family == "sdxl":
        small |= {
            "transformer_layers_per_block": [1, 1, 2],
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": POOLED + 6 * 8,
        }
    return bundled(family, "unet") | small


def vae_config(family: str) -> dict:
    small = {"block_out_channels": [8, 8, 8, 8], "layers_per_block": 1, "norm_num_groups": 4}
    return bundled(family, "vae") | small | {"sample_size": 64}


def text_config(family: str, number: int = 0, **changes: object) -> dict:
    small = {
        "vocab_size": 2 * 256 + len(MERGES) + 2,
        "hidden_size": WIDTHS[number],
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "projection_dim": POOLED if number else WIDTHS[0],
        "eos_token_id": 2,
    }
    part = "text_encoder_2" if number else "text_encoder"
    return bundled(family, part) | small | changes


def write_configs(root: Path, family: str) -> Path:
    """The settings of a tiny family, in the layout of those bundled for single files."""
    texts = {"text_encoder": text_config(family)}
    if family == "sdxl":
        texts["text_encoder_2"] = text_config(family, 1)
    files = {
        "unet/config.json": unet_config(family),
        "vae/config.json": vae_config(family),
        "scheduler/scheduler_config.json": bundled(family, "scheduler", "scheduler_config.json"),
        **{f"{part}/config.json": config for part, config in texts.items()},
    }
    for part in texts:
        name = part.replace("text_encoder", "tokenizer")
        settings = bundled(family, name, "tokenizer_config.json")
        files[f"{name}/tokenizer_config.json"] = settings
    if family == "sdxl":
        files["model_index.json"] = {"force_zeros_for_empty_prompt": True}
    for file, config in files.items():
        path = root / family / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config))
    (root / "tokenizer").mkdir(exist_ok=True)
    merges = "\n".join(" ".join(pair) for pair in MERGES)
    (root / "tokenizer" / "merges.txt.gz").write_bytes(gzip.compress(merges.encode()))
    return root / family


def make_tokenizer(pad: str):
    from transformers import CLIPTokenizer

    from diffinv_stable_diffusion.single_file import _byte_letters

    letters = _byte_letters()
    tokens = [*letters, *(f"{c}</w>" for c in letters), *("".join(pair) for pair in MERGES)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(tokens)},
        merges=list(MERGES),
        pad_token=pad,
        model_max_length=77,
    )


def make_scheduler(family: str):
    """Of the class that the real checkpoint comes with."""
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler

    cls = {"sd15": PNDMScheduler, "sdxl": EulerDiscreteScheduler}.get(family, DDIMScheduler)
    return cls.from_config(bundled(family, "scheduler", "scheduler_config.json"))


def make_checkpoint(folder: Path, family: str, seed: int = 0) -> Path:
    """A random checkpoint in diffusers' layout, saved by diffusers' own pipeline."""
    import torch
    from diffusers import (
        AutoencoderKL,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(seed)
    parts = {
        "unet": UNet2DConditionModel.from_config(unet_config(family)),
        "vae": AutoencoderKL.from_config(vae_config(family)),
        "text_encoder": CLIPTextModel(CLIPTextConfig.from_dict(text_config(family))),
        "tokenizer": make_tokenizer("!" if "21" in family else "<|endoftext|>"),
        "scheduler": make_scheduler(family),
    }
    if family == "sdxl":
        second = CLIPTextConfig.from_dict(text_config(family, 1))
        parts["text_encoder_2"] = CLIPTextModelWithProjection(second)
        parts["tokenizer_2"] = make_tokenizer("!")
        StableDiffusionXLPipeline(**parts).save_pretrained(folder)
    else:
        StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        ).save_pretrained(folder)
    return folder


def write_projection(path: Path, width: int = WIDTHS[0], linear: bool = False) -> Path:
    """A CLIP checkpoint's text projection, as open_clip or as transformers names it."""
    import torch
    from safetensors.torch import save_file

    matrix = torch.randn(width, 24, generator=torch.Generator().manual_seed(5))
    tensors = {"logit_scale": torch.ones(())}
    if linear:
        tensors["text_projection.weight"] = matrix.T.contiguous()
    else:
        tensors["text_projection"] = matrix
    save_file(tensors, path)
    return path
