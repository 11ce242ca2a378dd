"""What is in a ``.safetensors`` file of weights, and weights of eight bits. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DiffinvError
from .text import text_safe

Shapes = dict[str, tuple[int, ...]]

_MAX_HEADER = 100 * 2**20
_EIGHT_BITS = {"torch.float8_e4m3fn": "F8_E4M3", "torch.float8_e5m2": "F8_E5M2"}
"""The formats, and their names in a file's header."""

_SCALES = ("scale_weight", "weight_scale")
_MARKS = (*_SCALES, "scale_input", "input_scale", "comfy_quant")
"""What programs write beside a weight of eight bits; ``scaled_fp8`` stands once in a file."""


@dataclass(frozen=True)
class Entry:
    """A tensor as the header describes it: its format's name there (``F32``, ``BF16``), its
    shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


def read_entries(path: Path, name: str) -> dict[str, Entry]:
    """All tensors in a safetensors file, from its header; ``name`` is how the user knows the model.

    Raises DiffinvError if the file is damaged or cut short.
    """
    return _read_header(path, name)[0]


def read_metadata(path: Path, name: str) -> dict[str, str]:
    """What a safetensors file says of itself in its header. Raises as :func:`read_entries` does."""
    return _read_header(path, name)[1]


def _read_header(path: Path, name: str) -> tuple[dict[str, Entry], dict[str, str]]:
    problem = "is not a safetensors file"
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if 0 < length <= min(size - 8, _MAX_HEADER):
                table = json.loads(file.read(length))
                metadata = table.pop("__metadata__", None) or {}
                end = max((entry["data_offsets"][1] for entry in table.values()), default=0)
                if end == size - 8 - length:
                    texts = {k: v for k, v in metadata.items() if isinstance(v, str)}
                    rows = table.items()
                    return {k: Entry(str(e["dtype"]), tuple(e["shape"])) for k, e in rows}, texts
                problem = "is cut short or damaged"
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _damaged(path, name, "cannot be read") from error
    raise _damaged(path, name, problem)


def read_shapes(path: Path, name: str) -> Shapes:
    """The shapes of all tensors in a safetensors file: see :func:`read_entries`."""
    return {key: entry.shape for key, entry in read_entries(path, name).items()}


def has_eight_bits(entries: Mapping[str, Entry]) -> bool:
    """Whether weights are kept in eight bits."""
    return any(entry.dtype in _EIGHT_BITS.values() for entry in entries.values())


def widened(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """torch tensors by name, with weights of eight bits as bfloat16, which has more, times the
    scale that may stand beside them; the marks of such files are left out."""
    if not any(str(value.dtype) in _EIGHT_BITS for value in tensors.values()):
        return dict(tensors)
    found = {}
    for key, value in tensors.items():
        layer, _, kind = key.rpartition(".")
        if kind in _MARKS or key == "scaled_fp8":
            continue
        if str(value.dtype) in _EIGHT_BITS:
            scales = (tensors.get(f"{layer}.{scale}") for scale in _SCALES)
            scale = next((scale for scale in scales if scale is not None), None)
            value = value.float()
            if scale is not None:  # one for all, or one a row
                value = value * scale.float().reshape(-1, *[1] * (value.ndim - 1))
            value = value.bfloat16()
        found[key] = value
    return found


def _damaged(path: Path, name: str, problem: str) -> DiffinvError:
    which = "" if Path(name).name == path.name else f" of the model {name!r}"
    return DiffinvError(
        f"The file {text_safe(path.name)!r}{which} {problem}; get another copy of it."
    )
