"""Loads transformers models from this machine: only safetensors, and no code of their own."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import torch

from diffinv.errors import DiffinvError
from diffinv.system.local_models import check_weights, find_model
from diffinv.system.memory import VARIABLE, free_bytes
from diffinv.system.tensor_files import read_shapes

from .answers import MAX_TOKENS

_HERE = {"local_files_only": True, "trust_remote_code": False}


def model_folder(weights: str) -> Path:
    """A model's folder, once it is known to hold complete weights."""
    folder = find_model(weights)
    check_weights(folder)
    return folder


def load_model(model_class: Any, folder: Path, device: torch.device) -> Any:
    """The model on a device, in eval mode, frozen.

    Raises DiffinvError if weights are missing, which transformers would fill in at random.
    """
    dtype = dtype_on(device, folder)
    model, report = model_class.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **_HERE
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise DiffinvError(
            f"The weights in {str(folder)!r} lack {len(missing)} of the model's tensors, among "
            f"them {missing[0]!r}; get the model again."
        )
    return model.to(device).eval().requires_grad_(False)


def dtype_on(device: torch.device, folder: Path) -> torch.dtype:
    """bfloat16; on a CPU float32, where it fits into the memory that is free and none is to be
    saved."""
    if device.type != "cpu" or os.environ.get(VARIABLE, "").strip().lower() == "low":
        return torch.bfloat16
    free, size = free_bytes("cpu"), 0
    for file in folder.glob("*.safetensors"):
        size += sum(math.prod(shape) for shape in read_shapes(file, file.name).values())
    return torch.float32 if free is None or 4 * size < free else torch.bfloat16


def load_processor(processor_class: Any, folder: Path) -> Any:
    """The processor that turns pictures and text into a model's inputs."""
    return processor_class.from_pretrained(folder, **_HERE)


def model_type(folder: Path) -> str:
    """The kind of model a folder's config names. Refuses kinds that bring code of their own."""
    from transformers import AutoConfig

    try:
        return str(AutoConfig.from_pretrained(folder, **_HERE).model_type)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DiffinvError(
            f"{str(folder)!r} is not a model that transformers knows without the model's own code; "
            "a program that serves it can be reached with --captioner endpoint=URL#MODEL."
        ) from error


def answer(model: Any, tokenizer: Any, inputs: Any) -> tuple[str, bool]:
    """What a model says, and whether it was cut off before the end."""
    ids = say(model, inputs, MAX_TOKENS)
    ends = model.generation_config.eos_token_id
    ends = [*tokenizer.all_special_ids, *(ends if isinstance(ends, list) else [ends])]
    cut = len(ids) >= MAX_TOKENS and int(ids[-1]) not in ends
    return tokenizer.decode(ids, skip_special_tokens=True), cut


@torch.no_grad()
def say(model: Any, inputs: Any, tokens: int) -> torch.Tensor:
    """The ids [k] a model adds to its prompt: greedy, so always the same."""
    inputs = inputs.to(model.device)
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            inputs[name] = value.to(model.dtype)
    output = model.generate(
        **inputs, max_new_tokens=tokens, do_sample=False, num_beams=1, temperature=None,
        top_p=None, top_k=None,
    )  # fmt: skip
    ids: torch.Tensor = output[0]
    prompt = inputs.get("input_ids")
    if prompt is not None and torch.equal(ids[: prompt.shape[1]], prompt[0]):
        return ids[prompt.shape[1] :]
    return ids
