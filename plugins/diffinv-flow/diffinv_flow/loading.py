"""Loads the parts of a checkpoint: only safetensors, only what is here, and no code of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file
from torch import Tensor
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, AutoTokenizer

from diffinv.errors import DiffinvError
from diffinv.plugins.checking import describe
from diffinv.system.tensor_files import has_eight_bits, read_entries, widened

from .checkpoints import PREFIX, Checkpoint

T = TypeVar("T")


def loaded(make: Callable[[Checkpoint, torch.device], T], found: Checkpoint, device: str) -> T:
    """A backbone; what goes wrong with its files is one sentence."""
    try:
        return make(found, torch.device(device))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DiffinvError(
            f"The model {found.name!r} cannot be loaded: {describe(error)}."
        ) from error


def dtype_on(device: torch.device) -> torch.dtype:
    """float32 on a CPU, else bfloat16, in which these models were trained."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def network(kind: Any, found: Checkpoint, part: str, dtype: torch.dtype) -> Any:
    """A part of a checkpoint, frozen and on the CPU: a network of diffusers' or transformers'. Its
    weights may be of eight bits, or in another program's names."""
    entries = (read_entries(file, found.name) for file in found.files(part))
    if found.places[part].is_dir() and not any(map(has_eight_bits, entries)):
        model = kind.from_pretrained(
            found.places[part],
            dtype=dtype,
            variant=found.variant(part),
            local_files_only=True,
            use_safetensors=True,
        )
    else:
        make = _of_diffusers if hasattr(kind, "from_single_file") else _text_encoder
        model = make(kind, found, part, dtype)
    return model.eval().requires_grad_(False)


def _of_diffusers(kind: Any, found: Checkpoint, part: str, dtype: torch.dtype) -> Any:
    try:
        return kind.from_single_file(
            _tensors(found, part),
            config=str(found.settings_folder(part)),
            local_files_only=True,
            dtype=dtype,
        )
    except NotImplementedError as error:  # torch's, for weights that nothing has filled
        raise DiffinvError(_incomplete(found, part)) from error


def _text_encoder(kind: Any, found: Checkpoint, part: str, dtype: torch.dtype) -> Any:
    config = AutoConfig.from_pretrained(
        found.settings_folder(part), local_files_only=True, trust_remote_code=False
    )
    if kind is AutoModel:
        kind = MODEL_MAPPING[type(config)]
    model, report = kind.from_pretrained(
        None,
        config=config,
        state_dict=_tensors(found, part),
        dtype=dtype,
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise DiffinvError(_incomplete(found, part))
    return model


def _tensors(found: Checkpoint, part: str) -> dict[str, Tensor]:
    """A part's weights, those of eight bits widened; of a file with several parts only these."""
    tensors: dict[str, Tensor] = {}
    for file in found.files(part):
        tensors |= load_file(file)
    own = {k.removeprefix(PREFIX): v for k, v in tensors.items() if k.startswith(PREFIX)}
    return widened(own or tensors)


def _incomplete(found: Checkpoint, part: str) -> str:
    return (
        f"The model {found.name!r} is incomplete: the weights of its {part} lack some, or have "
        "names that are not known; get another copy of it."
    )


def tokenizer(folder: Path, name: str = "tokenizer") -> Any:
    """A text encoder's tokenizer, with its chat template if it has one."""
    return AutoTokenizer.from_pretrained(
        folder / name, local_files_only=True, trust_remote_code=False
    )


def scheduler(folder: Path) -> FlowMatchEulerDiscreteScheduler:
    """The checkpoint's own."""
    return FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")


def sigmas(scheduler: FlowMatchEulerDiscreteScheduler, steps: int, mu: float) -> list[float]:
    """The shares of noise of a sampling run from 1 down, shifted as the scheduler does: ``mu`` is
    the shift's logarithm, for those that take it from the picture's size."""
    scheduler.set_timesteps(sigmas=torch.linspace(1.0, 1 / steps, steps).tolist(), mu=mu)
    return [float(sigma) for sigma in scheduler.sigmas[:-1]]


def shift_of(scheduler: FlowMatchEulerDiscreteScheduler, mu: float) -> float:
    """How much it shifts towards noise."""
    if scheduler.config.use_dynamic_shifting:
        return float(torch.tensor(mu).exp())
    return float(scheduler.config.shift)
