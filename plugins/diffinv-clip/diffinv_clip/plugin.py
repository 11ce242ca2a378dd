"""What this plugin registers: a delta encoder per CLIP family, one for any model, and DINOv2."""

from __future__ import annotations

from diffinv.contracts import DeltaEncoderSpec
from diffinv.hookspecs import hookimpl

from .sources import DINOV2, FAMILIES

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
            factory="diffinv_clip.encoder:load",
            text_projection=True,
            size_mb=3944,
            defaults={"model": H14.hub_id},
        ),
        DeltaEncoderSpec(
            id="open-clip-l14",
            title="CLIP ViT-L-14 (OpenAI)",
            description="The text tower of Stable Diffusion 1.5, and the first of SDXL's two.",
            factory="diffinv_clip.encoder:load_l14",
            text_projection=True,
            licence="MIT",
            size_mb=1710,
            defaults={"model": L14.hub_id},
        ),
        DeltaEncoderSpec(
            id="open-clip-h14",
            title="OpenCLIP ViT-H-14 (LAION-2B)",
            description="The text tower of Stable Diffusion 2.1.",
            factory="diffinv_clip.encoder:load_h14",
            text_projection=True,
            licence="MIT",
            size_mb=3944,
            defaults={"model": H14.hub_id},
        ),
        DeltaEncoderSpec(
            id="open-clip-bigg14",
            title="OpenCLIP ViT-bigG-14 (LAION-2B)",
            description="The second text tower of SDXL, whose joint space SDXL's differences use.",
            factory="diffinv_clip.encoder:load_bigg14",
            text_projection=True,
            licence="MIT",
            size_mb=10159,
            defaults={"model": BIGG14.hub_id},
        ),
        DeltaEncoderSpec(
            id="dinov2",
            title="DINOv2, pictures only (experimental)",
            description="For scores, and for backbones of the same space; it has no text side.",
            factory="diffinv_clip.dinov2:load",
            licence="Apache-2.0",
            size_mb=346,
            defaults={"model": DINOV2},
        ),
    ]
