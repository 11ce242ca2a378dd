"""The delta encoder and the captioner, which see pixels through the same vision tower."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionModelWithProjection,
)

from diffinv.pictures.tensors import to_tensor

from .backbone import JOINT_SPACE
from .captions import caption, words
from .oracle import scenes_from_logits
from .render import SIZE
from .weights import pipeline_folder, without_loading_bars
from .world import Scene


def load_delta_encoder(weights: str | None, device: str) -> DioramaClip:
    """The CLIP pair from a pipeline folder (default: the installed one)."""
    without_loading_bars()
    return DioramaClip(Path(weights) if weights else pipeline_folder(), torch.device(device))


def load_captioner(weights: str | None, device: str) -> DioramaCaptioner:
    """The captioner from a pipeline folder (default: the installed one)."""
    without_loading_bars()
    return DioramaCaptioner(Path(weights) if weights else pipeline_folder(), torch.device(device))


def _vision_tower(folder: Path, device: torch.device) -> CLIPVisionModelWithProjection:
    tower = CLIPVisionModelWithProjection.from_pretrained(
        folder / "vision_encoder", dtype=torch.float32
    )
    return tower.to(device).eval().requires_grad_(False)


def _pixels(images: Sequence[Image.Image], device: torch.device) -> Tensor:
    """The middle squares, where the scene is: [n, 3, 96, 96] in [-1, 1]."""
    sized = [
        image
        if image.size == (SIZE, SIZE)
        else ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.BOX)
        for image in images
    ]
    return to_tensor(sized).to(device)


class DioramaClip:
    """See :class:`diffinv.contracts.DeltaEncoder`; also takes word embeddings, for PEZ."""

    id = "diorama"
    space = JOINT_SPACE
    vocabulary = words()

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.vision = _vision_tower(folder, device)
        text = CLIPTextModelWithProjection.from_pretrained(
            folder / "text_encoder", dtype=torch.float32
        )
        self.text = text.to(device).eval().requires_grad_(False)

    @torch.no_grad()
    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """E_I: [n, 128]."""
        return self.vision(_pixels(images, self.device)).image_embeds

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """E_T: [n, 128]. Texts are padded to the longest: behind its end no token counts."""
        ids = self.tokenizer(
            list(texts), padding="longest", truncation=True, return_tensors="pt"
        ).input_ids
        return self.text(input_ids=ids.to(self.device)).text_embeds

    @cached_property
    def token_table(self) -> Tensor:
        """Word embeddings that a hard prompt may use: [v, 160], rows as in ``token_ids``."""
        return self.text.get_input_embeddings().weight[self.token_ids].detach()

    @cached_property
    def token_ids(self) -> Tensor:
        """Ids [v] of whole words: no fragments, no special tokens."""
        special = set(self.tokenizer.all_special_ids)
        words = [
            i
            for piece, i in self.tokenizer.get_vocab().items()
            if piece.endswith("</w>") and piece[:-4].isalpha() and i not in special
        ]
        return torch.tensor(sorted(words), device=self.device)

    def encode_embeddings(self, embeddings: Tensor) -> Tensor:
        """Word embeddings [n, k, 160] through the text tower: [n, 128], differentiable."""
        count, length = embeddings.shape[1], self.tokenizer.model_max_length
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        row = [start, *[start] * count, *[end] * (length - 1 - count)]
        ids = torch.tensor([row] * len(embeddings), device=self.device)

        def place(_module: object, _inputs: object, embedded: Tensor) -> Tensor:
            parts = [embedded[:, :1], embeddings.to(embedded), embedded[:, 1 + count :]]
            return torch.cat(parts, dim=1)

        hook = self.text.get_input_embeddings().register_forward_hook(place)
        try:
            return self.text(input_ids=ids).text_embeds
        finally:
            hook.remove()

    def text_of(self, ids: Tensor) -> str:
        """The words of token ids [k]."""
        return self.tokenizer.decode(ids.tolist()).strip()

    def ids_of(self, text: str) -> list[int]:
        """The token ids of a text, without start and end."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))


class DioramaCaptioner:
    """See :class:`diffinv.contracts.Captioner`.

    A linear head reads each attribute from the vision tower's patches. The sentence is phrased at
    random, seeded with a hash of the picture: the same picture always gives the same words, another
    picture of the same scene different ones.
    """

    id = "diorama"

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.vision = _vision_tower(folder, device)
        weights = {k: v.float() for k, v in load_file(folder / "reader.safetensors").items()}
        self.head = nn.Linear(weights["weight"].shape[1], weights["weight"].shape[0])
        self.head.load_state_dict(weights)
        self.head.to(device).requires_grad_(False)

    @torch.no_grad()
    def read(self, images: Sequence[Image.Image]) -> list[Scene]:
        """What the vision tower sees in each picture."""
        patches = self.vision(_pixels(images, self.device)).last_hidden_state[:, 1:]
        return scenes_from_logits(self.head(patches.mean(1)))

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """One sentence per picture."""
        scenes = self.read(images) if images else []
        return [
            caption(scene, _generator(image)) for scene, image in zip(scenes, images, strict=True)
        ]


def _generator(image: Image.Image) -> np.random.Generator:
    digest = hashlib.sha256(image.convert("RGB").tobytes()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
