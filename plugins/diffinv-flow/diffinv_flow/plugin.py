"""The hooks. Light: nothing here imports torch."""

from __future__ import annotations

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl

from .checkpoints import KLEIN, SD3, Z_IMAGE, Family


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """``flux2-klein``, ``z-image`` and ``sd3``, the base models."""
    return [
        _spec(KLEIN, "klein", "4B", "smaller than Z-Image", 16_000),
        _spec(Z_IMAGE, "z_image", "6B", "larger than FLUX.2 klein", 20_500),
        _spec(
            SD3,
            "sd3",
            "2.5B",
            "older than these two",
            16_200,
            licence="Stability AI Community License",
            delta_encoder="open-clip-bigg14",
        ),
    ]


def _spec(
    family: Family,
    module: str,
    parameters: str,
    beside: str,
    size_mb: int,
    licence: str = "Apache-2.0",
    delta_encoder: str = "open-clip-h14",
) -> BackboneSpec:
    return BackboneSpec(
        id=family.id,
        title=family.title,
        factory=f"diffinv_flow.{module}:load",
        description=f"A flow model of {parameters}, 1024 px: {family.id}=FOLDER or =HUB_ID.",
        purpose=f"Edits photographs, drawn at 1024 × 1024; {beside}.",
        licence=licence,
        size_mb=size_mb,
        defaults={"model": family.model},
        captioner="blip2",
        delta_encoder=delta_encoder,
        resolution=1024,
        additions=family.additions,
        preflight=f"diffinv_flow.memory:preflight_{module}",
    )
