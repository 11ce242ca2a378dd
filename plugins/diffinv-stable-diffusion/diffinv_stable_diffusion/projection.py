"""The text projection: from the text encoder's vectors to the joint space of texts and pictures.

Half of the checkpoints lack it. It is then read, as a single tensor, from the CLIP checkpoint that
the text encoder was taken from.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

from diffinv.errors import DiffinvError, UsageError
from diffinv.system.paths import given_path
from diffinv.system.tensor_files import read_shapes
from diffinv.system.text import text_safe

from .families import Family
from .sources import Source, has_projection

if TYPE_CHECKING:
    from torch import Tensor

    from .parts import TextModel

VARIABLE = "DIFFINV_TEXT_PROJECTION"
"""A .safetensors file with the text projection, for checkpoints without one."""

_ROWS_OUT = "text_projection.weight"
"""A linear layer's weight [d, width]; ``text_projection`` is a matrix [width, d]."""


def text_projection(family: Family, model: TextModel) -> Tensor:
    """The matrix [width, d] in float32 on the CPU: the encoder's own, else one from a file.

    Raises DiffinvError, saying how to get it, if there is none.
    """
    own = getattr(model, "text_projection", None)
    if own is not None:
        weight: Tensor = own.weight.detach().float().cpu().T
        return weight
    path, key = _find(family, model.config.hidden_size)
    with safe_open(path, "pt") as file:
        tensor: Tensor = file.get_tensor(key).float()
    return tensor.T if key == _ROWS_OUT else tensor


def check_projection(source: Source) -> None:
    """Raise what :func:`text_projection` would, before anything is loaded. No torch needed."""
    last = source.family.text_encoders[-1]
    if not has_projection(source, last):
        _find(source.family, source.config(last)["hidden_size"])


def _file(family: Family) -> Path:
    from huggingface_hub import try_to_load_from_cache

    named = os.environ.get(VARIABLE, "").strip()
    if named:
        path = given_path(named)
        if path.is_file():
            return path
        raise UsageError(f"{VARIABLE} names {text_safe(named)!r}, which is not a file.")
    for model, file in family.projections:
        cached = try_to_load_from_cache(model, file)
        if isinstance(cached, str):
            return Path(cached)
    if not family.projections:
        raise DiffinvError(
            f"This checkpoint of {family.id!r} has no text projection; get one whose "
            "text encoder is complete."
        )
    raise DiffinvError(
        f"The checkpoints of {family.id!r} carry no text projection, which the clip loss needs: "
        f"fetch it with 'diffinv models pull {family.projections[0][0]}', or name a file with it "
        f"in {VARIABLE}."
    )


def _find(family: Family, width: int) -> tuple[Path, str]:
    """The file with the projection for vectors of this width, and the tensor's name."""
    path = _file(family)
    shapes = read_shapes(path, str(path))
    keys = [key for key in ("text_projection", _ROWS_OUT) if len(shapes.get(key, ())) == 2]
    if not keys:
        raise DiffinvError(
            f"The file {text_safe(str(path))} has no text projection; name one of a CLIP model in "
            f"{VARIABLE}."
        )
    found = shapes[keys[0]][1 if keys[0] == _ROWS_OUT else 0]
    if found != width:
        raise DiffinvError(
            f"The text projection in {text_safe(str(path))} takes vectors {found} wide, "
            f"the text encoder of {family.id!r} gives {width}; name the file "
            f"of the right CLIP model in {VARIABLE}."
        )
    return path, keys[0]
