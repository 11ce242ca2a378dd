"""Where a component of a checkpoint is: a folder in diffusers' layout, or a part of one file.

Light: no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffinv.errors import DiffinvError
from diffinv.system.tensor_files import read_entries
from diffinv.system.text import text_safe

from .suffixes import PICKLES


@dataclass(frozen=True)
class Component:
    """A denoiser, an autoencoder or a text encoder.

    ``settings`` is its ``config.json``, ``files`` are its weights. In diffusers' layout they are in
    the folder of the settings, with a ``variant`` (``fp16``) in their names or none. Otherwise it
    is one file, in which the names of its tensors begin with ``prefix``.
    """

    settings: Path
    files: tuple[Path, ...]
    variant: str | None = None
    prefix: str | None = None

    def config(self, name: str) -> dict[str, Any]:
        """The settings of a component of the model called ``name``."""
        return read_json(self.settings, name)

    def parameters(self, name: str) -> int:
        """How many weights it has."""
        prefix = self.prefix or ""
        entries = (pair for file in self.files for pair in read_entries(file, name).items())
        return sum(entry.count for key, entry in entries if key.startswith(prefix))


Lacks = Callable[[str], str]
"""The sentence for a file that is missing, by its name."""


def folder_component(folder: Path, part: str, name: str, lacks: Lacks) -> Component:
    """A component's folder: its files in full precision, else in half. Raises DiffinvError if some
    are missing, damaged or pickles."""
    stem = "model" if part.startswith("text_encoder") else "diffusion_pytorch_model"
    settings = folder / "config.json"
    for variant in (None, "fp16"):
        infix = f".{variant}" if variant else ""
        single = folder / f"{stem}{infix}.safetensors"
        index = folder / f"{stem}.safetensors.index{infix}.json"
        if single.exists():
            return Component(settings, (_readable(single, name),), variant)
        if index.is_file():
            return Component(settings, tuple(_shards(index, name, lacks)), variant)
    if any(file.suffix in PICKLES for file in folder.iterdir()):
        raise DiffinvError(
            f"The model {name!r} has its {folder.name} only as a pickle, which could run any code "
            "and is not loaded; get a copy with .safetensors files."
        )
    raise DiffinvError(lacks(f"{folder.name}/{stem}.safetensors"))


def _shards(index: Path, name: str, lacks: Lacks) -> Iterator[Path]:
    table = read_json(index, name).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise DiffinvError(f"The model {name!r} is damaged: {index.name} lists no shards.")
    for shard in sorted({str(file) for file in table.values()}):
        path = index.parent / shard
        if path.name != shard or not path.is_file():
            raise DiffinvError(lacks(f"the shard {index.parent.name}/{text_safe(shard)}"))
        yield _readable(path, name)


def _readable(path: Path, name: str) -> Path:
    read_entries(path, name)
    return path


def read_json(path: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of a model. Raises DiffinvError if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
    except (OSError, ValueError, RecursionError) as error:
        raise DiffinvError(
            f"The file {path.parent.name}/{path.name} of the model {name!r} cannot be read as "
            "JSON; get another copy of it."
        ) from error
    raise DiffinvError(
        f"The file {path.parent.name}/{path.name} of the model {name!r} is damaged; get another "
        "copy of it."
    )
