"""What an application needs on this machine, and whether its model suits the pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from ..contracts import BackboneSpec
from ..difference import Difference
from ..engines import LOCAL
from ..errors import DiffinvError
from ..pictures.glimpses import glimpses
from ..pictures.sizes import MODEL, checked_size
from ..plugins.loading import registry
from ..plugins.model_states import ModelState, missing_models, require_models
from ..running.parts import Part
from ..running.remembered_weights import find_encoder
from .requests import ApplyRequest


def unsuited_for(
    request: ApplyRequest, backbone: BackboneSpec, pictures: Sequence[Path]
) -> tuple[str, ...]:
    """What the backbone has against the pictures, and how large the results will be."""
    seen = glimpses(pictures) if backbone.suits else []
    said = registry().unsuited(backbone, seen)
    if not said or request.size == MODEL:
        return said
    largest = max((one.width, one.height) for one in seen)
    if isinstance(size := checked_size(request.size), int):
        largest = _scaled(largest, size)
    drawn = f", drawn at {backbone.resolution} × {backbone.resolution}" * bool(backbone.resolution)
    return (*said, f"Results will have up to {largest[0]} × {largest[1]} pixels{drawn}.")


def _scaled(size: tuple[int, int], longer: int) -> tuple[int, int]:
    share = longer / max(size)
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def missing_for(
    request: ApplyRequest,
    differences: Sequence[tuple[Difference, float]],
    backbone: Part,
    captioner: Part | None,
    pictures: Sequence[Path],
) -> list[ModelState]:
    """Models of which less is done if they are not here: those that read the words of prompts.
    Raises MissingModelsError, which names them too, if one is that nothing can be done without."""
    if request.on != LOCAL or not pictures:
        return []
    wanted = [(backbone.spec, backbone.weights)]
    if captioner and any(not path.with_suffix(".txt").is_file() for path in pictures):
        wanted.append((captioner.spec, captioner.weights))
    helpful = []
    info = differences[0][0].info
    if request.settings.reword and (spec := registry().delta_encoders.get(info.delta_encoder)):
        with contextlib.suppress(DiffinvError):
            helpful.append((spec, find_encoder(info)))
    if missing_models(wanted):
        require_models([*wanted, *helpful])
    return missing_models(helpful)
