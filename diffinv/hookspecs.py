"""Every hook a plugin can implement.

A plugin is an installed distribution with an entry point in the group ``diffinv`` that names a
module (or object) with any of these functions, marked with :data:`hookimpl`::

    from diffinv.hookspecs import hookimpl
    from diffinv.contracts import BackboneSpec

    @hookimpl
    def register_backbones():
        return [BackboneSpec(id="mine", title="Mine", factory="my_package.model:load")]

The functions return light specs; the factories they name are imported only when a model is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from .contracts import (
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    MethodSpec,
    WorldSpec,
)

if TYPE_CHECKING:
    import click

GROUP = "diffinv"
"""The entry-point group, and the project name for pluggy's markers."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_backbones() -> Iterable[BackboneSpec]:  # type: ignore[empty-body]
    """Text-to-image models: the denoiser, its text encoder and its autoencoder."""


@hookspec
def register_captioners() -> Iterable[CaptionerSpec]:  # type: ignore[empty-body]
    """Models that describe a picture in a sentence."""


@hookspec
def register_delta_encoders() -> Iterable[DeltaEncoderSpec]:  # type: ignore[empty-body]
    """Models that put pictures and texts into one space, where deltas are taken (Eq 2, 3)."""


@hookspec
def register_editors() -> Iterable[EditorSpec]:  # type: ignore[empty-body]
    """Ways to find the noise that B starts from."""


@hookspec
def register_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Ways to complete analogies, to be compared with difference inversion."""


@hookspec
def register_worlds() -> Iterable[WorldSpec]:  # type: ignore[empty-body]
    """Makers of analogies whose answers are known, to compare methods on."""


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add subcommands to ``diffinv``. Must import nothing heavy."""
