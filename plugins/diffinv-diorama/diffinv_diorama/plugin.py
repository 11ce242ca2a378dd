"""What this plugin registers: one backbone, one captioner, one delta encoder, all ``diorama``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec, WorldSpec
from diffinv.hookspecs import hookimpl

from .tuned import TUNED

if TYPE_CHECKING:
    import click

_CASES = ("plain", "misaligned", "silent", "mistaken", "double", "hard")
_LICENCE = "Apache-2.0"
_EXAMPLE = Path(__file__).parent / "example"


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """The embedded text-to-image model."""
    return [
        BackboneSpec(
            id="diorama",
            title="Diorama",
            description="Small landscapes, 96 x 96 pixels; learned from scratch, runs on any CPU.",
            purpose="Draws only small landscapes of its own world, 96 × 96: for trying everything "
            "out at once, not for photographs.",
            resolution=96,
            suits="diffinv_diorama.suiting:suits",
            factory="diffinv_diorama.backbone:load",
            licence=_LICENCE,
            size_mb=24,
            defaults={"example": str(_EXAMPLE)},
            captioner="diorama",
            delta_encoder="diorama",
            companions={
                "instruct-pix2pix": "diffinv_diorama.siblings:instruct",
                "inpainting": "diffinv_diorama.siblings:inpainting",
            },
        )
    ]


@hookimpl
def register_captioners() -> list[CaptionerSpec]:
    """The captioner of the same world."""
    return [
        CaptionerSpec(
            id="diorama",
            title="Diorama captioner",
            description="Reads a landscape's pixels and describes it in freely varied words.",
            purpose="Describes Diorama's landscapes, and nothing else.",
            factory="diffinv_diorama.clip:load_captioner",
            licence=_LICENCE,
            size_mb=4,
        )
    ]


@hookimpl
def register_delta_encoders() -> list[DeltaEncoderSpec]:
    """The CLIP pair of the same world."""
    return [
        DeltaEncoderSpec(
            id="diorama",
            title="Diorama CLIP",
            description="Text and vision towers trained on the landscapes and their captions.",
            purpose="Compares Diorama's landscapes with words, and nothing else.",
            factory="diffinv_diorama.clip:load_delta_encoder",
            licence=_LICENCE,
            size_mb=4,
        )
    ]


@hookimpl
def register_worlds() -> list[WorldSpec]:
    """Analogies of landscapes with known answers."""
    return [
        WorldSpec(
            id="diorama",
            title="Diorama",
            description="Held-out landscapes, judged by a network of their own.",
            factory="diffinv_diorama.diorama_world:load",
            cases=_CASES,
            tuned=TUNED,
        )
    ]


@hookimpl
def register_commands(cli: click.Group) -> None:
    """``diffinv evaluate diorama``: analogies with known answers."""
    from .command import diorama

    evaluate = cli.commands.get("evaluate")
    if evaluate is not None:
        evaluate.add_command(diorama)  # type: ignore[attr-defined]
