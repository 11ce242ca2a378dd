"""What this plugin registers: a delta encoder per CLIP family, one for any model, and DINOv2."""

from __future__ import annotations

from diffinv.contracts import DeltaEncoderSpec
from diffinv.hookspecs import hookimpl

from .sources import DINOV2, FAMILIES, Family

L14, H14, BIGG14 = FAMILIES


@hookimpl
def register_delta_encoders() -> list[DeltaEncoderSpec]:
    """``open-clip`` takes any model; the others are bound to the family their id names."""
    return [
        DeltaEncoderSpec(
            id="open-clip",
            title="OpenCLIP, any model",
            description="open-clip=FOLDER, =HUB_ID, =ARCHITECTURE or =ARCHITECTURE:FILE.safetensors"
            " (ViT-H-14 if nothing is named).",
            purpose="Compares pictures and words with any model of OpenCLIP's kind.",
            factory="diffinv_clip.encoder:load",
            text_projection=True,
            size_mb=3944,
            defaults=_defaults(H14),
        ),
        DeltaEncoderSpec(
            id="open-clip-l14",
            title="CLIP ViT-L-14 (OpenAI)",
            description="The text tower of Stable Diffusion 1.5, and the first of SDXL's two.",
            purpose="Compares pictures and words, for Stable Diffusion 1.5.",
            factory="diffinv_clip.encoder:load_l14",
            text_projection=True,
            licence="MIT",
            size_mb=1710,
            defaults=_defaults(L14),
        ),
        DeltaEncoderSpec(
            id="open-clip-h14",
            title="OpenCLIP ViT-H-14 (LAION-2B)",
            description="The text tower of Stable Diffusion 2.1.",
            purpose="Compares pictures and words, for Stable Diffusion 2.1 and flow models.",
            factory="diffinv_clip.encoder:load_h14",
            text_projection=True,
            licence="MIT",
            size_mb=3944,
            defaults=_defaults(H14),
        ),
        DeltaEncoderSpec(
            id="open-clip-bigg14",
            title="OpenCLIP ViT-bigG-14 (LAION-2B)",
            description="The second text tower of SDXL, whose joint space SDXL's differences use.",
            purpose="Compares pictures and words, for Stable Diffusion XL.",
            factory="diffinv_clip.encoder:load_bigg14",
            text_projection=True,
            licence="MIT",
            size_mb=10159,
            defaults=_defaults(BIGG14),
        ),
        DeltaEncoderSpec(
            id="dinov2",
            title="DINOv2, pictures only (experimental)",
            description="For scores, and for backbones of the same space; it has no text side.",
            purpose="Compares pictures alone, without words; for scores.",
            factory="diffinv_clip.dinov2:load",
            licence="Apache-2.0",
            size_mb=346,
            defaults={"model": DINOV2},
        ),
    ]


def _defaults(family: Family) -> dict[str, object]:
    return {"model": family.hub_id, "stand_ins": list(family.stand_ins)}
