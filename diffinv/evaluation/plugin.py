"""The methods that come with diffinv itself, registered like any plugin's."""

from __future__ import annotations

from dataclasses import fields

from ..contracts import MethodSpec
from ..hookspecs import hookimpl
from ..method.settings import InversionSettings

_HERE = "diffinv.evaluation.methods"
_WORDS = {"editor": "edit-friendly", "steps": 20, "guidance_scale": 2.0}
_NOT_SET = ("seed", "side", "preview")
_LEARNING = {f.name: f.default for f in fields(InversionSettings) if f.name not in _NOT_SET}
_APPLYING = {
    "strength": 1.0,
    "editor": "edit-friendly",
    "num_inference_steps": 20,
    "guidance_scale": 2.0,
    "mask": True,
    "mask_grow": 8.0,
    "reword": True,
}


@hookimpl
def register_methods() -> list[MethodSpec]:
    """Difference inversion, references that edit by words, floors and ceilings."""
    return [
        MethodSpec(
            id="difference-inversion",
            title="Difference inversion",
            factory=f"{_HERE}:DifferenceInversion",
            description="Learns the difference of A and A′ as DIFF tokens and applies it to B.",
            settings={**_LEARNING, **_APPLYING},
            many=True,
        ),
        MethodSpec(
            id="caption-arithmetic",
            title="Caption arithmetic",
            factory=f"{_HERE}:CaptionArithmetic",
            description="Adds what the captions of A and A′ differ by to B's hidden states.",
            settings=_WORDS,
        ),
        MethodSpec(
            id="word-edit",
            title="Word edit",
            factory=f"{_HERE}:WordEdit",
            description="Exchanges in B's caption the words in which those of A and A′ differ.",
            settings=_WORDS,
        ),
        MethodSpec(
            id="true-caption",
            title="True caption",
            factory=f"{_HERE}:TrueCaption",
            description="A ceiling: edits B by the caption of the true B′.",
            settings=_WORDS,
            needs=("b_prime",),
        ),
        MethodSpec(
            id="autoencoder",
            title="Autoencoder",
            factory=f"{_HERE}:Autoencoder",
            description="A ceiling: the true B′ through the model's autoencoder.",
            needs=("b_prime",),
        ),
        MethodSpec(
            id="copy-b",
            title="Copy of B",
            factory=f"{_HERE}:CopyB",
            description="A floor: B as it is.",
        ),
    ]
