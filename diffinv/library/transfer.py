"""Differences in and out of the library: their own files, and textual-inversion files.

A textual-inversion file holds word embeddings, which is what input-space tokens are. Its tensor
names and widths are those of the backbone's ``embedding_layout``. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import safetensors.numpy

from ..difference import SUFFIX, Difference, DifferenceInfo, is_difference, load
from ..errors import DiffinvError, UsageError
from ..files import atomic_write
from ..images import from_webp, save_png
from ..plugins import registry
from ..text import text_safe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .store import Entry, Library

Format = Literal["safetensors", "textual-inversion", "a1111", "comfyui"]
FORMATS: tuple[Format, ...] = get_args(Format)

_PICKLES = (".pt", ".bin", ".pth", ".ckpt", ".pkl")
_MAX_FILE = 64 * 2**20
_BFLOAT16 = "BF16"


@dataclass(frozen=True)
class Exported:
    """The files of an export.

    ``token`` is what a prompt calls the difference elsewhere, ``keys`` are the file's tensors.
    """

    file: Path
    negative: Path | None = None
    preview: Path | None = None
    token: str | None = None
    keys: tuple[str, ...] = ()


def export(
    library: Library, name: str, format: Format, out: Path | None = None, replace: bool = False
) -> Exported:
    """Write a difference as a file of its own, beside it its preview.

    ``out`` is a file or an existing folder, by default the working directory. Files that exist
    are kept, and UsageError raised, unless ``replace``. Raises UsageError where the tokens' space
    or the backbone has no such format.
    """
    path = library.find(name)
    difference = load(path)
    if format == "safetensors":
        file = _target(out, path.stem)
        done, contents = Exported(file), {file: path.read_bytes()}
    else:
        layout = export_layout(difference.info)
        file = _target(out, token_name(difference.info.name))
        negative = file.with_stem(f"{file.stem}-negative")
        done = Exported(file, negative, token=file.stem, keys=tuple(layout))
        contents = {
            file: embedding_bytes(difference.tokens, layout),
            negative: embedding_bytes(-difference.tokens, layout),
        }
    shown = difference.thumbnails.get("preview")
    if shown:
        suffix = ".preview.png" if format == "a1111" else ".png"
        done = dataclasses.replace(done, preview=file.with_suffix(suffix))
    _check_free([*contents, *([done.preview] if done.preview else [])], replace)
    for target, data in contents.items():
        atomic_write(target, data)
    if shown and done.preview:
        save_png(from_webp(shown), done.preview)
    return done


def token_name(name: str) -> str:
    """A difference's name as a word for prompts: lower case, which tokenizers need."""
    word = re.sub(r"[^a-z0-9]+", "-", text_safe(name).lower()).strip("-")
    return word or "difference"


def export_layout(info: DifferenceInfo) -> Mapping[str, int]:
    """The tensors of the textual-inversion file of a difference, with their widths.

    Raises UsageError, with the way out, where its tokens cannot be in such a file.
    """
    shown = text_safe(info.name)
    if info.token_space != "input":
        raise UsageError(
            f"The difference {shown!r} has tokens in the {info.token_space} space, which only "
            "diffinv applies; learn it again with 'diffinv invert --token-space input' to export "
            "it for other programs."
        )
    layout = registry().get("backbone", info.backbone).embedding_layout
    if not layout:
        raise UsageError(
            f"No other program has the backbone {text_safe(info.backbone)!r}; export "
            f"{shown!r} with --format safetensors."
        )
    if sum(layout.values()) != info.token_width:
        raise UsageError(
            f"The tokens of {shown!r} are {info.token_width} wide and other programs expect "
            f"{sum(layout.values())} for {info.backbone!r}; export it with --format safetensors."
        )
    return layout


def embedding_bytes(tokens: NDArray[np.float32], layout: Mapping[str, int]) -> bytes:
    """A textual-inversion file: the tokens [k, width] split by the layout, float32."""
    tensors, start = {}, 0
    for key, width in layout.items():
        part = tokens[:, start : start + width]
        tensors[key] = np.ascontiguousarray(part, dtype=np.float32)
        start += width
    return safetensors.numpy.save(tensors)


def import_file(
    library: Library, file: Path, name: str | None = None, backbone: str | None = None
) -> Entry:
    """Take a difference file, or a plain textual-inversion file, into the library.

    Everything is checked before anything is written. A textual inversion is input-space tokens
    for any checkpoint of its backbone, which ``backbone`` names where the widths fit several.
    """
    if is_difference(file):
        return library.import_file(file, name)
    return library.add(_from_embedding(file, name or file.stem, backbone))


def _from_embedding(file: Path, name: str, backbone: str | None) -> Difference:
    tensors = _read_embedding(file)
    layout_id, layout = _choose_backbone(file, tensors, backbone)
    parts = [_rows(tensors, key, len(layout)) for key in layout]
    if len({len(part) for part in parts}) > 1:
        raise DiffinvError(f"{_shown(file)} has not the same number of tokens for each encoder.")
    info = DifferenceInfo(
        name=name,
        backbone=layout_id,
        backbone_weights="",
        token_space="input",
        description="A textual inversion",
    )
    tokens = np.ascontiguousarray(np.concatenate(parts, axis=1))
    none = np.zeros(1, np.float32)
    return Difference(info, tokens, none, np.zeros((0, 3), np.float32))


def _read_embedding(file: Path) -> dict[str, NDArray[np.float32]]:
    """All tensors of a small safetensors file as finite float32 matrices."""
    shown = _shown(file)
    if not file.is_file():
        raise UsageError(f"{shown} is no file; check the path.")
    if file.suffix.lower() in _PICKLES:
        raise UsageError(
            f"{shown} is a pickle, which could run any code and is not read; get it as "
            ".safetensors."
        )
    if file.stat().st_size > _MAX_FILE:
        raise UsageError(f"{shown} is too large for a textual inversion; choose another file.")
    try:
        tensors = dict(safetensors.deserialize(file.read_bytes()))
        arrays = {key: _array(entry) for key, entry in tensors.items()}
    except Exception as error:  # SafetensorError, and whatever unknown data types raise
        raise DiffinvError(
            f"{shown} is neither a difference nor a textual inversion that can be read; choose "
            "another file."
        ) from error
    for key, array in arrays.items():
        if array.ndim != 2 or not array.size:
            raise DiffinvError(
                f"{shown} has a tensor {text_safe(key)!r} of the shape {list(array.shape)}, which "
                "no textual inversion has; choose another file."
            )
        if not np.isfinite(array).all():
            raise DiffinvError(f"{shown} has numbers that are not finite; get another copy of it.")
    return arrays


def _array(entry: dict[str, object]) -> NDArray[np.float32]:
    data, shape = bytes(entry["data"]), list(entry["shape"])  # type: ignore[call-overload]
    kinds = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
    if entry["dtype"] == _BFLOAT16:
        wide = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        array: NDArray[np.float32] = wide.view(np.float32)
    else:
        array = np.frombuffer(data, kinds[str(entry["dtype"])]).astype(np.float32)
    shape = [1, *shape] if len(shape) == 1 else shape
    return array.reshape(shape)


def _choose_backbone(
    file: Path, tensors: Mapping[str, NDArray[np.float32]], wanted: str | None
) -> tuple[str, Mapping[str, int]]:
    specs = {id: spec.embedding_layout for id, spec in registry().backbones.items()}
    if wanted is not None:
        specs = {wanted: registry().get("backbone", wanted).embedding_layout}
    fitting = [id for id, layout in specs.items() if layout and _fits(tensors, layout)]
    widths = ", ".join(f"{text_safe(k)} {a.shape[1]}" for k, a in tensors.items())
    if not fitting:
        whom = f"the backbone {wanted!r}" if wanted else "any backbone here"
        raise UsageError(f"{_shown(file)} has tokens ({widths} wide) that do not fit {whom}.")
    if len(fitting) > 1:
        raise UsageError(
            f"{_shown(file)} fits several backbones; choose one with --backbone: "
            f"{', '.join(fitting)}."
        )
    return fitting[0], specs[fitting[0]]


def _fits(tensors: Mapping[str, NDArray[np.float32]], layout: Mapping[str, int]) -> bool:
    """A layout of one tensor takes any name, as the programs that read such files do."""
    if len(layout) == 1:
        return [array.shape[1] for array in tensors.values()] == list(layout.values())
    return {key: array.shape[1] for key, array in tensors.items()} == dict(layout)


def _rows(tensors: Mapping[str, NDArray[np.float32]], key: str, keys: int) -> NDArray[np.float32]:
    return next(iter(tensors.values())) if keys == 1 else tensors[key]


def _target(out: Path | None, stem: str) -> Path:
    if out is None:
        return Path(f"{stem}{SUFFIX}")
    if out.is_dir():
        return out / f"{stem}{SUFFIX}"
    if out.suffix != SUFFIX:
        raise UsageError(f"--out {text_safe(str(out))} is no folder; a file ends in {SUFFIX}.")
    return out.with_name(out.name.lower())


def _check_free(files: list[Path], replace: bool) -> None:
    for file in files:
        if not replace and file.exists():
            raise UsageError(f"{_shown(file)} exists already; choose another --out, or --replace.")


def _shown(path: Path) -> str:
    return text_safe(str(path))
