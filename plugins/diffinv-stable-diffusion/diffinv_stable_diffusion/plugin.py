"""What this plugin registers: four backbones. Imports nothing heavy."""

from __future__ import annotations

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl

from .families import FAMILIES, Family


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Stable Diffusion 1.5, 2.1 (base and 768) and XL."""
    return [_spec(family) for family in FAMILIES.values()]


def _spec(family: Family) -> BackboneSpec:
    name = family.id.replace("-", "_")
    return BackboneSpec(
        id=family.id,
        title=family.title,
        description=family.description,
        purpose=family.purpose,
        resolution=family.resolution,
        factory=f"diffinv_stable_diffusion.backbone:load_{name}",
        licence=family.licence,
        size_mb=family.size_mb,
        defaults={"model": family.model, "memory": "auto"},
        captioner="blip2",
        delta_encoder=family.delta_encoder,
        embedding_layout=family.embedding_layout,
        additions=("vae", "text_encoder", "lora"),
        preflight=f"diffinv_stable_diffusion.preflight:preflight_{name}",
    )
