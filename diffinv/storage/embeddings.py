"""Other programs' textual-inversion files, read as input-space tokens.

Such a file holds one tensor of any name, or one per text encoder under the encoder's own name:
names and widths are in the backbones' ``embedding_layout``. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors

from ..difference import Difference, DifferenceInfo
from ..errors import DiffinvError, UsageError
from ..plugins.loading import registry
from ..system.text import path_text, text_safe

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ROWS = 75
"""A prompt's tokens in the programs that read such files, not counting start and end."""

_PICKLES = (".pt", ".bin", ".pth", ".ckpt", ".pkl")
_MAX_FILE = 64 * 2**20
_WEIGHTS = (".weight", ".bias", ".alpha")
"""Endings of tensor names in models and LoRAs, which no word of a prompt has."""
_FLOATS = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "BF16": np.uint16}
_SHOWN = 3

Tensors = Mapping[str, dict[str, Any]]
Matrices = Mapping[str, "NDArray[np.float32]"]
Layout = Mapping[str, int]


def read_embedding(file: Path, name: str, backbone: str | None) -> Difference:
    """A textual inversion as a difference for any checkpoint of its backbone.

    ``backbone`` says which one if the widths fit several. Raises DiffinvError for any other file.
    """
    matrices = _read_matrices(file)
    backbone, layout = _choose_backbone(file, matrices, backbone)
    parts = list(matrices.values()) if len(layout) == 1 else [matrices[key] for key in layout]
    if len({len(part) for part in parts}) > 1:
        raise DiffinvError(f"{path_text(file)} has different numbers of tokens for its encoders.")
    info = DifferenceInfo(
        name=name,
        backbone=backbone,
        backbone_weights="",
        token_space="input",
        description="A textual inversion",
    )
    tokens = np.ascontiguousarray(np.concatenate(parts, axis=1))
    return Difference(info, tokens, np.zeros(1, np.float32), np.zeros((0, 3), np.float32))


def _read_matrices(file: Path) -> Matrices:
    shown = path_text(file)
    tensors = _read_tensors(file)
    if not all(_can_be_embedding(key, tensor) for key, tensor in tensors.items()) or not tensors:
        raise DiffinvError(
            f"{shown} has {_describe(tensors)}, which no textual inversion has: that is 1 to "
            f"{MAX_ROWS} rows of floating-point numbers, {_accepted()}; choose another file."
        )
    matrices = {key: _matrix(tensor) for key, tensor in tensors.items()}
    if not all(np.isfinite(matrix).all() for matrix in matrices.values()):
        raise DiffinvError(f"{shown} has numbers that are not finite; get another copy of it.")
    return matrices


def _read_tensors(file: Path) -> Tensors:
    """A small safetensors file's tensors by name, not yet checked."""
    shown = path_text(file)
    if os.path.isdir(file):
        raise UsageError(f"{shown} is a folder; name the files in it.")
    if not os.path.isfile(file):
        raise UsageError(f"{shown} is not a file; check the path.")
    if file.suffix.lower() in _PICKLES:
        raise UsageError(
            f"{shown} is a pickle, which could run any code and is not read; get it as "
            "a .safetensors file."
        )
    try:
        size = file.stat().st_size
        if size == 0:
            raise DiffinvError(f"{shown} is empty (0 bytes); get another copy of it.")
        if size > _MAX_FILE:
            raise UsageError(f"{shown} is too large for a textual inversion; choose another file.")
        return dict(sorted(safetensors.deserialize(file.read_bytes())))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(f"{shown} cannot be read ({reason}); check its permissions.") from error
    except safetensors.SafetensorError as error:
        raise DiffinvError(
            f"{shown} is neither a difference nor a textual inversion that can be read; choose "
            "another file."
        ) from error


def _can_be_embedding(key: str, tensor: dict[str, Any]) -> bool:
    shape = tensor["shape"]
    rows = shape[0] if len(shape) == 2 else 1
    return (
        len(shape) in (1, 2)
        and 1 <= rows <= MAX_ROWS
        and shape[-1] > 0
        and tensor["dtype"] in _FLOATS
        and not key.endswith(_WEIGHTS)
    )


def _matrix(tensor: dict[str, Any]) -> NDArray[np.float32]:
    """A tensor [width] or [rows, width] as [rows, width]."""
    values = np.frombuffer(tensor["data"], _FLOATS[tensor["dtype"]])
    if tensor["dtype"] == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused
        matrix: NDArray[np.float32] = values.astype(np.float32)
    return matrix.reshape(-1, tensor["shape"][-1])


def _choose_backbone(file: Path, matrices: Matrices, wanted: str | None) -> tuple[str, Layout]:
    layouts = _layouts()
    if wanted is not None:
        layouts = {wanted: registry().get("backbone", wanted).embedding_layout}
    fitting = [id for id, layout in layouts.items() if layout and _fits(matrices, layout)]
    if not fitting:
        widths = ", ".join(f"{text_safe(k)} {m.shape[1]}" for k, m in matrices.items())
        whom = f"the backbone {wanted!r}" if wanted else "any backbone here"
        raise UsageError(
            f"{path_text(file)} has tokens ({widths} wide) that do not fit {whom}; a textual "
            f"inversion is {_accepted()}."
        )
    if len(fitting) > 1:
        raise UsageError(
            f"{path_text(file)} fits several backbones; import it with 'diffinv library import "
            f"--backbone' and one of {', '.join(fitting)}."
        )
    return fitting[0], layouts[fitting[0]]


def _fits(matrices: Matrices, layout: Layout) -> bool:
    """A layout of one tensor accepts any name, as the programs that read such files do."""
    widths = {key: matrix.shape[1] for key, matrix in matrices.items()}
    return list(widths.values()) == list(layout.values()) if len(layout) == 1 else widths == layout


def _layouts() -> dict[str, Layout]:
    return {id: spec.embedding_layout for id, spec in registry().backbones.items()}


def _describe(tensors: Tensors) -> str:
    """The first tensors in a few words."""
    some = list(tensors.items())[:_SHOWN]
    words = [f"{text_safe(key)[:60]!r} {list(t['shape'])} {t['dtype']}" for key, t in some]
    if len(tensors) > _SHOWN:
        words.append(f"{len(tensors) - _SHOWN} more")
    return ", ".join(words) or "no tensors"


def _accepted() -> str:
    """The tensor names and widths that the installed backbones accept."""
    layouts = [layout for layout in _layouts().values() if layout]
    widths = sorted({width for lay in layouts if len(lay) == 1 for width in lay.values()})
    forms = [f"one tensor {' or '.join(map(str, widths))} wide"] if widths else []
    for layout in layouts:
        form = " with ".join(f"{text_safe(key)!r} {width} wide" for key, width in layout.items())
        if len(layout) > 1 and form not in forms:
            forms.append(form)
    return ", or ".join(forms) or "for a backbone that is not installed"
