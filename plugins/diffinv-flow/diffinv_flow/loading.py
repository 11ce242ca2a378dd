"""Loads the parts of a checkpoint: only safetensors, only what is here, and no code of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from transformers import AutoTokenizer

from diffinv.errors import DiffinvError
from diffinv.plugins.checking import describe

T = TypeVar("T")


def loaded(make: Callable[[Path, torch.device], T], folder: Path, device: str) -> T:
    """A backbone; what goes wrong with its files is one sentence."""
    try:
        return make(folder, torch.device(device))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DiffinvError(
            f"The model in {str(folder)!r} cannot be loaded: {describe(error)}."
        ) from error


def dtype_on(device: torch.device) -> torch.dtype:
    """float32 on a CPU, else bfloat16, in which these models were trained."""
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def network(kind: Any, folder: Path, device: torch.device, dtype: torch.dtype) -> Any:
    """A network of diffusers' or transformers' on a device, frozen."""
    model = kind.from_pretrained(
        folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True
    )
    return model.to(device).eval().requires_grad_(False)


def tokenizer(folder: Path) -> Any:
    """The text encoder's tokenizer, with its chat template."""
    return AutoTokenizer.from_pretrained(
        folder / "tokenizer", local_files_only=True, trust_remote_code=False
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
