"""Differences out of the library: as their own files, and as textual-inversion files.

A textual-inversion file holds word embeddings, which is what input-space tokens are. Its tensor
names and widths are those of the backbone's ``embedding_layout``. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import safetensors.numpy

from ..difference import SUFFIX, DifferenceInfo, load
from ..errors import UsageError
from ..files import atomic_write
from ..images import from_webp, save_png
from ..plugins import registry
from ..text import text_safe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .store import Library

Format = Literal["safetensors", "textual-inversion", "a1111", "comfyui"]


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
