"""The editors that come with diffinv, registered as a plugin's are."""

from __future__ import annotations

from ..contracts import EditorSpec
from ..hookspecs import hookimpl


@hookimpl
def register_editors() -> list[EditorSpec]:
    """The three editors, which need only the backbone."""
    return [
        EditorSpec(
            id="ddim",
            title="DDIM inversion",
            factory="diffinv.method.editors:Ddim",
            description="Runs the sampler backwards, exactly, so that B's own noise is found.",
        ),
        EditorSpec(
            id="sdedit",
            title="SDEdit",
            factory="diffinv.method.editors:SDEdit",
            description="Adds fresh noise to B, partway, and denoises from there.",
        ),
        EditorSpec(
            id="edit-friendly",
            title="Edit-friendly DDPM inversion",
            factory="diffinv.method.editors:EditFriendly",
            description="Draws B's noise at every timestep on its own, which edits follow best.",
        ),
    ]
