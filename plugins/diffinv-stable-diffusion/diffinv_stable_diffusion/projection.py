"""The text projection: from the text encoder's vectors to the joint space of texts and pictures.

Half of the checkpoints do not carry it. It is then read, as the one tensor that is needed, from
the CLIP checkpoint that the text encoder was taken from.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from diffinv.errors import DiffinvError, UsageError
from diffinv.text import text_safe

from .families import Family
from .loading import TextModel
from .sources import read_shapes

VARIABLE = "DIFFINV_TEXT_PROJECTION"
"""A .safetensors file with the text projection, for checkpoints without one."""

_ROWS_OUT = "text_projection.weight"
"""A linear layer's weight, [d, width]; ``text_projection`` is a matrix, [width, d]."""


def text_projection(family: Family, model: TextModel) -> Tensor:
    """The matrix [width, d] in float32 on the CPU: the encoder's own, else that of a file.

    Raises DiffinvError where there is none, and says how to get it.
    """
    own = getattr(model, "text_projection", None)
    if own is not None:
        weight: Tensor = own.weight.detach().float().cpu().T
        return weight
    path = _file(family)
    matrix = _read(path)
    if matrix.shape[0] != model.config.hidden_size:
        raise DiffinvError(
            f"The text projection in {text_safe(str(path))} takes vectors {matrix.shape[0]} wide, "
            f"the text encoder of {family.id!r} gives {model.config.hidden_size}; name the file "
            f"of the right CLIP model in {VARIABLE}."
        )
    return matrix


def _file(family: Family) -> Path:
    from huggingface_hub import try_to_load_from_cache

    named = os.environ.get(VARIABLE, "").strip()
    if named:
        path = Path(named).expanduser()
        if path.is_file():
            return path
        raise UsageError(f"{VARIABLE} names {text_safe(named)!r}, which is no file.")
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


def _read(path: Path) -> Tensor:
    shapes = read_shapes(path, str(path))
    keys = [key for key in ("text_projection", _ROWS_OUT) if len(shapes.get(key, ())) == 2]
    if not keys:
        raise DiffinvError(
            f"The file {text_safe(str(path))} has no text projection; name one of a CLIP model in "
            f"{VARIABLE}."
        )
    with safe_open(path, "pt") as file:
        tensor: Tensor = file.get_tensor(keys[0]).to(torch.float32)
    return tensor.T if keys[0] == _ROWS_OUT else tensor
