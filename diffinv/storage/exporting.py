"""Exports differences from the library: as their own files, and as textual-inversion files.

A textual-inversion file holds word embeddings, which is what input-space tokens are. Its tensor
names and widths are those of the backbone's ``embedding_layout``. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import safetensors.numpy

from ..difference import SUFFIX, DifferenceInfo, load
from ..errors import UsageError
from ..pictures.writing import from_webp, to_png
from ..plugins.loading import registry
from ..system.files import atomic_create, atomic_write, take_back
from ..system.text import path_text, text_safe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .store import Library

Format = Literal["safetensors", "textual-inversion", "a1111", "comfyui"]


@dataclass(frozen=True)
class Exported:
    """An export's files.

    ``token`` is what prompts call the difference in other programs, ``keys`` are the file's
    tensors.
    """

    file: Path
    negative: Path | None = None
    preview: Path | None = None
    token: str | None = None
    keys: tuple[str, ...] = ()


def export(
    library: Library,
    name: str,
    format: Format,
    out: str | Path | None = None,
    replace: bool = False,
) -> Exported:
    """Write a difference as a file of its own, with its preview beside it.

    ``out`` is a file, or a folder, which is made if need be: a path with a trailing slash, or
    without a suffix; by default it is the working directory. Existing files are kept, and
    UsageError raised, unless ``replace``; on an error nothing new is left behind. Raises UsageError
    if the tokens' space or the backbone has no such format.
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
        token = file.stem if format == "comfyui" else file.stem.lower()
        if format == "comfyui" and len(token.split()) > 1:
            raise UsageError(
                f"ComfyUI's prompts cannot name {path_text(file)}, because of the blank; choose "
                "another --out."
            )
        done = Exported(file, negative, token=token, keys=tuple(layout))
        contents = {
            file: embedding_bytes(difference.tokens, layout),
            negative: embedding_bytes(-difference.tokens, layout),
        }
    if shown := difference.thumbnails.get("preview"):
        suffix = ".preview.png" if format == "a1111" else ".png"
        done = dataclasses.replace(done, preview=file.with_suffix(suffix))
        contents[file.with_suffix(suffix)] = to_png(from_webp(shown))
    if file.parent.resolve() == library.folder.resolve():
        raise UsageError(f"{path_text(file)} would be in the library itself; choose another --out.")
    _write_all(contents, replace)
    return done


def token_name(name: str) -> str:
    """A difference's name as a word for prompts, in the lower case that tokenizers need."""
    word = re.sub(r"[^a-z0-9]+", "-", text_safe(name).lower()).strip("-")
    return word or "difference"


def export_layout(info: DifferenceInfo) -> Mapping[str, int]:
    """The tensors of a difference's textual-inversion file, with their widths.

    Raises UsageError, saying what to do, if its tokens cannot go into such a file.
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


def _target(out: str | Path | None, stem: str) -> Path:
    """The file to write: ``out`` itself, or ``stem`` in the folder ``out``."""
    path = Path(out or "")
    if os.path.isdir(path):
        return path / f"{stem}{SUFFIX}"
    if str(out).endswith(("/", os.sep)) or not path.suffix:
        if os.path.lexists(path):
            raise UsageError(f"--out {path_text(path)} is a file, not a folder; choose another.")
        return path / f"{stem}{SUFFIX}"
    if path.suffix != SUFFIX:
        raise UsageError(f"--out {path_text(path)} is not a folder; a file ends in {SUFFIX}.")
    return path


def _write_all(contents: Mapping[Path, bytes], replace: bool) -> None:
    """Write all the files; on an error leave no new file and no new folder behind."""
    taken = [file for file in contents if os.path.lexists(file)]
    if taken and not replace:
        raise _exists(taken[0])
    folders = {folder for file in contents for folder in _missing_folders(file)}
    try:
        for file, data in contents.items():
            if file in taken:
                atomic_write(file, data)
            elif not atomic_create(file, data):
                raise _exists(file)
    except BaseException:
        for file in contents.keys() - taken:
            take_back(file, contents[file])
        for folder in sorted(folders, reverse=True):
            with contextlib.suppress(OSError):  # it was never made, or is in use
                folder.rmdir()
        raise


def _missing_folders(file: Path) -> Iterable[Path]:
    return itertools.takewhile(lambda folder: not os.path.lexists(folder), file.parents)


def _exists(file: Path) -> UsageError:
    return UsageError(f"{path_text(file)} exists already; choose another --out, or --replace.")
