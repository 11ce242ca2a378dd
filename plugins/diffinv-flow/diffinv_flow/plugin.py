"""The hooks. Light: nothing here imports torch."""

from __future__ import annotations

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl

from .checkpoints import KLEIN, Z_IMAGE


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """``flux2-klein`` and ``z-image``, the base models."""
    return [
        BackboneSpec(
            id=KLEIN.id,
            title=KLEIN.title,
            factory="diffinv_flow.klein:load",
            description="A flow model of 4B, 1024 px: flux2-klein=FOLDER or =HUB_ID.",
            purpose="Edits photographs, drawn at 1024 × 1024; smaller than Z-Image.",
            licence="Apache-2.0",
            size_mb=16_000,
            defaults={"model": KLEIN.model},
            captioner="blip2",
            delta_encoder="open-clip-h14",
            resolution=1024,
            preflight="diffinv_flow.memory:preflight_klein",
        ),
        BackboneSpec(
            id=Z_IMAGE.id,
            title=Z_IMAGE.title,
            factory="diffinv_flow.z_image:load",
            description="A flow model of 6B, 1024 px: z-image=FOLDER or =HUB_ID.",
            purpose="Edits photographs, drawn at 1024 × 1024; larger than FLUX.2 klein.",
            licence="Apache-2.0",
            size_mb=20_500,
            defaults={"model": Z_IMAGE.model},
            captioner="blip2",
            delta_encoder="open-clip-h14",
            resolution=1024,
            preflight="diffinv_flow.memory:preflight_z_image",
        ),
    ]
