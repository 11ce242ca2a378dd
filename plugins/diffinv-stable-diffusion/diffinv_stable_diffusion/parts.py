"""The loaded models of a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

TextModel: TypeAlias = CLIPTextModel | CLIPTextModelWithProjection


@dataclass(frozen=True)
class Parts:
    """The models of a checkpoint, frozen, in evaluation mode, on the CPU."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_models: tuple[TextModel, ...]
    tokenizers: tuple[CLIPTokenizer, ...]
    scheduler: DDIMScheduler
