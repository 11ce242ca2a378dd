"""DINOv2: pictures only. For scores, and as an experimental image-only delta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, Dinov2Model

from diffinv.errors import DiffinvError, UsageError
from diffinv.system.local_models import check_weights, find_model

from .sources import DINOV2


def load(weights: str | None, device: str) -> Dinov2:
    """A Dinov2Model from a folder, or from a hub id fetched before (default: dinov2-base)."""
    return Dinov2(weights or DINOV2, torch.device(device))


class Dinov2:
    """See :class:`diffinv.contracts.DeltaEncoder`, of which it has only the picture half.

    Its space has no texts: no captions can guide the tokens, PEZ has no words, and only a
    backbone with this ``joint_space`` can use it.
    """

    id = "dinov2"
    reads_texts = False

    def __init__(self, weights: str, device: torch.device) -> None:
        folder = find_model(weights)
        check_weights(folder)
        self.device = device
        self.processor = AutoImageProcessor.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, backend="pil"
        )
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        if config.model_type != "dinov2":
            raise DiffinvError(f"{weights!r} is a {config.model_type} model, not DINOv2.")
        model, report = Dinov2Model.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
        if report["missing_keys"]:
            raise DiffinvError(f"{weights!r} lacks {len(report['missing_keys'])} of its weights.")
        self.model = model.to(device).eval().requires_grad_(False)
        self.space = f"dinov2:{model.config.hidden_size}"

    @torch.no_grad()
    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """The class token of each picture: [n, d]."""
        pixels = self.processor(
            [i.convert("RGB") for i in images], return_tensors="pt"
        ).pixel_values
        return self.model(pixels.to(self.device)).pooler_output.float()

    def encode_texts(self, texts: Sequence[str]) -> NoReturn:
        """Always refused: DINOv2 was trained on pictures alone."""
        raise UsageError(
            "The delta encoder 'dinov2' reads pictures and no texts; choose one of open_clip's, "
            "such as --delta-encoder open-clip-h14."
        )
