"""The hooks. Light: nothing here imports torch."""

from __future__ import annotations

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl

Z_IMAGE = "Tongyi-MAI/Z-Image"


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """``z-image``, the base model."""
    return [
        BackboneSpec(
            id="z-image",
            title="Z-Image",
            factory="diffinv_flow.z_image:load",
            description="A flow model of 6B, 1024 px: z-image=FOLDER or =HUB_ID.",
            licence="Apache-2.0",
            size_mb=20_500,
            defaults={"model": Z_IMAGE},
            captioner="blip2",
            delta_encoder="open-clip-h14",
            preflight="diffinv_flow.folders:preflight",
        )
    ]
