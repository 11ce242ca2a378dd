"""Fills a Hugging Face hub cache with models of random weights, laid out as the hub's own are.

Names, shapes, dtypes, shards and variants are those of the real repositories after ``diffinv models
pull``: blobs named by their hash, snapshots of links, ``refs/main``. Weights are made tensor by
tensor while they are written, so that a model of 10 GB takes no memory to speak of.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

COMMIT = hashlib.sha1(b"random weights").hexdigest()
_POOL = 1 << 22
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Repository:
    """A model's folder in the cache, to be filled."""

    cache: Path
    id: str

    @property
    def folder(self) -> Path:
        """``models--OWNER--NAME``."""
        return self.cache / f"models--{self.id.replace('/', '--')}"

    @property
    def is_whole(self) -> bool:
        """Whether it was filled before: the reference is written last."""
        return (self.folder / "refs" / "main").is_file()

    def finish(self) -> None:
        """Name the snapshot."""
        path = self.folder / "refs" / "main"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(COMMIT)

    def text(self, name: str, content: str | bytes) -> None:
        """A small file; its blob has the name that git would give it."""
        data = content.encode() if isinstance(content, str) else content
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self._blobs.joinpath(blob).write_bytes(data)
        self._link(name, blob)

    def json(self, name: str, content: Any) -> None:
        """Settings."""
        self.text(name, json.dumps(content, indent=2) + "\n")

    def weights(self, name: str, shapes: Shapes, dtype: torch.dtype) -> None:
        """A safetensors file of random weights; its blob is named by SHA-256, as large files
        are."""
        partial = self._blobs / f"{uuid.uuid4().hex}.incomplete"
        digest = hashlib.sha256()
        with partial.open("wb") as file:
            for chunk in _safetensors(shapes, dtype):
                digest.update(chunk)
                file.write(chunk)
        partial.rename(self._blobs / digest.hexdigest())
        self._link(name, digest.hexdigest())

    def shards(self, stem: str, shapes: Shapes, dtype: torch.dtype, count: int) -> None:
        """``STEM-00001-of-0000N.safetensors`` and their index."""
        size = sum(map(math.prod, shapes.values()))
        parts: list[dict[str, tuple[int, ...]]] = [{} for _ in range(count)]
        done = 0
        for key, shape in shapes.items():
            parts[min(count - 1, done * count // size)][key] = shape
            done += math.prod(shape)
        table = {}
        for number, part in enumerate(parts, 1):
            name = f"{stem}-{number:05}-of-{count:05}.safetensors"
            self.weights(name, part, dtype)
            table |= dict.fromkeys(part, Path(name).name)
        total = {"total_size": size * dtype.itemsize}
        self.json(f"{stem}.safetensors.index.json", {"metadata": total, "weight_map": table})

    @property
    def _blobs(self) -> Path:
        path = self.folder / "blobs"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _link(self, name: str, blob: str) -> None:
        link = self.folder / "snapshots" / COMMIT / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(self._blobs / blob, link.parent))


def shapes_of(make: Callable[[], torch.nn.Module], rename: Callable[[str], str] = str) -> Shapes:
    """The tensors of a network that is never made: [name, shape]; tied ones once."""
    with torch.device("meta"):
        network = make()
    tied = getattr(network, "_tied_weights_keys", None) or ()
    kept = {key: tensor for key, tensor in network.state_dict().items() if key not in tied}
    return {rename(key): tuple(tensor.shape) for key, tensor in kept.items()}


def _safetensors(shapes: Shapes, dtype: torch.dtype) -> Iterator[bytes]:
    """The file, piece by piece."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        kind = torch.int64 if name.endswith(("position_ids", "num_batches_tracked")) else dtype
        start, end = end, end + math.prod(shape) * kind.itemsize
        header[name] = {"dtype": _NAMES[kind], "shape": shape, "data_offsets": [start, end]}
    table = json.dumps(header).encode()
    table += b" " * (-len(table) % 8)
    yield len(table).to_bytes(8, "little") + table
    pool = torch.randn(_POOL, generator=torch.Generator().manual_seed(0))
    for name, shape in shapes.items():
        yield from _tensor(name, shape, dtype, pool)


def _tensor(
    name: str, shape: tuple[int, ...], dtype: torch.dtype, pool: torch.Tensor
) -> Iterator[bytes]:
    """Weights that keep the size of what they are applied to; scales of one, shifts of zero."""
    size = math.prod(shape)
    if name.endswith("position_ids"):
        yield _bytes(torch.arange(size))
    elif name.endswith("num_batches_tracked"):
        yield _bytes(torch.zeros(size, dtype=torch.int64))
    elif len(shape) < 2:
        whole = torch.zeros if name.endswith(("bias", "running_mean")) else torch.ones
        yield _bytes(whole(size, dtype=dtype))
    else:
        scaled = (pool[:size] / math.prod(shape[1:]) ** 0.5).to(dtype)
        for start in range(0, size, _POOL):
            yield _bytes(scaled[: size - start])


def _bytes(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().view(torch.uint8).numpy().data)
