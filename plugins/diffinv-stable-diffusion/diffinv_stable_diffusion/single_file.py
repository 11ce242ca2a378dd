"""Checkpoints in one ``.safetensors`` file, as the original programs wrote them.

The settings, which such a file lacks, and CLIP's vocabulary are bundled with this plugin.
diffusers translates the denoiser and the autoencoder, this module the text encoders.
"""

from __future__ import annotations

import gzip
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTokenizer

from diffinv.errors import DiffinvError
from diffinv.system.tensor_files import widened
from diffinv.system.text import text_safe

from .components import read_json
from .sources import Source, file_prefixes

Tensors = dict[str, Tensor]

_RESBLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)\.(\w+)")
_RENAMED = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_TOP = {
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


class SingleFiles:
    """The models in files, which are mapped, so that nothing is copied before it is used. Each is
    opened once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._opened: dict[Path, Tensors] = {}

    def model(self, part: str, cls: Any, dtype: torch.dtype) -> Any:
        """The denoiser or the autoencoder."""
        own, component = self._own(part), self.source.components[part]
        converted = part == "vae" and any(".down_blocks." in key for key in own)
        prefix = "" if converted else file_prefixes(self.source.family)[part]
        return cls.from_single_file(
            {f"{prefix}{key}": value for key, value in own.items()},
            config=str(component.settings.parent.parent),
            subfolder=part,
            local_files_only=True,
            dtype=dtype,
        )

    def text_model(self, part: str, cls: Any, dtype: torch.dtype) -> Any:
        """A text encoder, in either of the two forms found in such files."""
        own, component = self._own(part), self.source.components[part]
        config = CLIPTextConfig.from_dict(self.source.config(part))
        is_open_clip = any(_RESBLOCK.fullmatch(key) for key in own)
        layers = config.num_hidden_layers
        weights = _from_open_clip(own, layers) if is_open_clip else _from_transformers(own)
        model = cls(config)
        expected = model.state_dict()
        if any(key.startswith("text_model.") for key in expected):
            weights = {f"text_model.{key}": value for key, value in weights.items()}
            weights |= _projection(own)
        lacking = sorted(expected.keys() - weights.keys())
        if lacking:
            raise DiffinvError(
                f"The file {text_safe(component.files[0].name)!r} lacks {len(lacking)} tensors of "
                f"its {part}, the first {lacking[0]!r}; get another copy of it."
            )
        model.load_state_dict({key: weights[key] for key in expected})
        return model.to(dtype)

    def _own(self, part: str) -> Tensors:
        """A component's tensors, by the names that follow its prefix."""
        component = self.source.components[part]
        (path,), prefix = component.files, component.prefix or ""
        if path not in self._opened:
            self._opened[path] = widened(load_file(path))
        tensors = self._opened[path]
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _projection(weights: Tensors) -> Tensors:
    """The text projection: transformers' linear layer, or OpenCLIP's matrix."""
    for key in ("text_projection.weight", "transformer.text_projection.weight"):
        if key in weights:
            return {"text_projection.weight": weights[key]}
    if "text_projection" in weights:
        return {"text_projection.weight": weights["text_projection"].T}
    return {}


def _from_transformers(weights: Tensors) -> Tensors:
    return {key.removeprefix("text_model."): value for key, value in weights.items()}


def _from_open_clip(weights: Tensors, layers: int) -> Tensors:
    """OpenCLIP's names to transformers'; layers beyond the settings' number are left out."""
    renamed = {_TOP[key]: value for key, value in weights.items() if key in _TOP}
    for key, value in weights.items():
        match = _RESBLOCK.fullmatch(key)
        if not match or int(match[1]) >= layers:
            continue
        layer = f"encoder.layers.{match[1]}"
        if match[2] in _RENAMED:
            renamed[f"{layer}.{_RENAMED[match[2]]}.{match[3]}"] = value
        elif match[3].startswith("in_proj_"):
            kind = match[3].removeprefix("in_proj_")
            for name, third in zip("qkv", value.chunk(3), strict=True):
                renamed[f"{layer}.self_attn.{name}_proj.{kind}"] = third
    return renamed


def bundled_tokenizer(configs: Path, part: str) -> CLIPTokenizer:
    """CLIP's tokenizer, padded as the bundled settings of a family in ``configs`` say."""
    settings = read_json(configs / part / "tokenizer_config.json", configs.name)
    vocabulary, merges = clip_vocabulary(configs.parent / "tokenizer" / "merges.txt.gz")
    return CLIPTokenizer(
        vocab=dict(vocabulary),
        merges=list(merges),
        pad_token=settings["pad_token"],
        model_max_length=settings["model_max_length"],
    )


@lru_cache(maxsize=2)
def clip_vocabulary(path: Path) -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """CLIP's 49,408 tokens and the merges behind them: bytes, their word ends, merges."""
    text = gzip.decompress(path.read_bytes()).decode()
    merges = tuple((first, second) for first, second in map(str.split, text.splitlines()))
    letters = _byte_letters()
    tokens = [*letters, *(f"{c}</w>" for c in letters), *("".join(pair) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: index for index, token in enumerate(tokens)}, merges


def _byte_letters() -> list[str]:
    """The 256 bytes as printable letters, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]
