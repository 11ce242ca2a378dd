"""Siblings of the embedded denoiser: one that follows instructions, one that fills in.

They are what the methods that this one is compared with need: networks that also see a picture
(twice the channels) or a picture with a hole (a mask and as many channels again). Their files hold
only what differs from the denoiser.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from diffinv.contracts import Network

from .weights import ROOT, pipeline_folder, without_loading_bars

_WEIGHTS = "diffusion_pytorch_model.safetensors"


def save_sibling(unet: UNet2DConditionModel, folder: Path, without: tuple[str, ...]) -> None:
    """Write a sibling in half precision, without the tensors whose names begin so."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in unet.state_dict().items()
        if not name.startswith(without)
    }
    save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
    config = json.loads(unet.to_json_string())
    config.pop("_name_or_path", None)  # where it was trained from is nobody's business
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_sibling(folder: Path, base: Path) -> UNet2DConditionModel:
    """A sibling in float32, completed from the denoiser's folder ``base``."""
    unet = UNet2DConditionModel.from_config(json.loads((folder / "config.json").read_text()))
    own, rest = load_file(folder / _WEIGHTS), load_file(base / _WEIGHTS)
    unet.load_state_dict({**rest, **own})
    return unet.float().eval().requires_grad_(False)


def instruct(device: str) -> Network:
    """The sibling that follows instructions: twice the latents' channels, the picture's unscaled
    latents last."""
    return _network("instruct", device)


def inpainting(device: str) -> Network:
    """The sibling that fills in: noisy latents, a mask (1 is missing), latents of the rest."""
    return _network("inpainting", device)


def _network(name: str, device: str) -> Network:
    without_loading_bars()
    folder = pipeline_folder()
    unet = load_sibling(ROOT / name, folder / "unet").to(device)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
    text = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    for model in (vae, text):
        model.to(device).eval().requires_grad_(False)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    return Network(unet, vae, text, tokenizer, scheduler)
