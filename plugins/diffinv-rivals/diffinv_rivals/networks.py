"""Checkpoints whose denoiser sees more than noisy latents, in diffusers' folder layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from diffinv.contracts import Network
from diffinv.errors import DiffinvError, UsageError
from diffinv.pictures.framing import model_size, to_model
from diffinv.pictures.tensors import to_images, to_tensor

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffinv.contracts import Bench


def network(bench: Bench, method: str, kind: str, weights: str | None, masks: int = 0) -> Network:
    """The network named by the user, else the backbone's companion. Its denoiser takes noisy
    latents, those of a picture, and so many channels of masks."""
    found = load(weights, bench.device) if weights else bench.companion(kind)
    if found is None:
        raise UsageError(
            f"The method {method!r} needs a checkpoint of its own, and the backbone "
            f"{bench.backbone.id!r} brings none; name a folder with --method {method}=PATH."
        )
    wanted, takes = 2 * found.vae.config.latent_channels + masks, found.unet.config.in_channels
    if takes != wanted:
        raise UsageError(
            f"The denoiser of {weights!r} takes {takes} channels and not the {wanted} of "
            f"{method!r}; 'diffinv evaluate methods' says which checkpoint does."
        )
    bench.count(found)
    return found


def load(path: str, device: str) -> Network:
    """The parts of a folder, or of a model that is here under its hub id; safetensors alone."""
    options = {"local_files_only": True, "torch_dtype": torch.float32}
    try:
        unet = UNet2DConditionModel.from_pretrained(
            path, subfolder="unet", use_safetensors=True, **options
        )
        vae = AutoencoderKL.from_pretrained(path, subfolder="vae", use_safetensors=True, **options)
        text = CLIPTextModel.from_pretrained(
            path, subfolder="text_encoder", local_files_only=True, dtype=torch.float32
        )
        tokenizer = CLIPTokenizer.from_pretrained(
            path, subfolder="tokenizer", local_files_only=True
        )
        scheduler = DDIMScheduler.from_pretrained(
            path, subfolder="scheduler", local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise DiffinvError(
            f"{path!r} is not a folder in diffusers' layout with safetensors, nor a model that is "
            f"here: {' '.join(str(error).split())[:200]}"
        ) from error
    for model in (unet, vae, text):
        model.to(device).eval().requires_grad_(False)
    return Network(unet, vae, text, tokenizer, scheduler)


def seen(found: Network, image: Image) -> Image:
    """A picture at the network's own size: of its shape, with sides that are multiples of 8."""
    side = found.unet.config.sample_size * 8
    return to_model(image, model_size(image.size, side, 8))


def pixels(found: Network, image: Image) -> Tensor:
    """[1, 3, h, w] in [-1, 1] on the network's device."""
    return to_tensor([image]).to(found.unet.device)


def text_states(found: Network, texts: Sequence[str]) -> Tensor:
    """Hidden states [n, length, width]."""
    ids = found.tokenizer(
        list(texts),
        padding="max_length",
        max_length=found.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    states: Tensor = found.text_encoder(ids.to(found.unet.device)).last_hidden_state
    return states


def decoded(found: Network, latents: Tensor) -> Image:
    """Latents [1, c, h, w] as a picture."""
    return to_images(found.vae.decode(latents / found.vae.config.scaling_factor).sample)[0]
