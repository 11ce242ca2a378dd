"""What the siblings of the embedded denoiser share: a start from its weights, and small files.

A sibling takes more input channels than the denoiser. The new ones start at zero, so that training
begins with the denoiser itself. The parts named in ``FROZEN`` stay the denoiser's and are left out
of the sibling's file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from diffinv_diorama.siblings import save_sibling

FROZEN = ("mid_block.resnets.", "down_blocks.1.resnets.")


def widened(base: Path, channels: int) -> UNet2DConditionModel:
    """The denoiser with ``channels`` inputs, the new ones at zero."""
    unet = UNet2DConditionModel.from_pretrained(base).float()
    old = unet.conv_in
    new = torch.nn.Conv2d(channels, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=channels)
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    return unet.train()


class Texts:
    """The frozen text tower."""

    def __init__(self, pipeline: Path) -> None:
        self._tokenizer = CLIPTokenizer.from_pretrained(pipeline / "tokenizer")
        tower = CLIPTextModelWithProjection.from_pretrained(pipeline / "text_encoder")
        self._tower = tower.eval().requires_grad_(False).float()

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Hidden states [n, 40, 160]."""
        ids = self._tokenizer(
            texts, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        with torch.autocast("cpu", torch.bfloat16):
            return self._tower(input_ids=ids).last_hidden_state.float()


def options(about: str | None) -> argparse.Namespace:
    """How a sibling is trained, from the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, required=True, help="the sibling's folder")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run's state")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pool", type=int, default=8192)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    return args


def keep(unet: UNet2DConditionModel, folder: Path) -> None:
    """Write the sibling without what is the denoiser's own."""
    save_sibling(unet, folder, FROZEN)
    print(f"{sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.1f} MB in {folder.name}")
