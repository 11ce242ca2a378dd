"""Checks, before loading, the settings of a model's parts that we use ourselves.

The settings that models are built from are left to diffusers and transformers, which check them.
Light: no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Settings = Mapping[str, Any]

_SPACINGS = ("leading", "trailing", "linspace")
_TRAINED = 1000
"""Timesteps of a noise schedule that does not give a number."""


def wrong_settings(
    unet: Settings, vae: Settings, scheduler: Settings, encoders: Mapping[str, Settings]
) -> list[str]:
    """``FILE: NAME`` for each setting that is missing or makes no sense; ``encoders`` by folder."""
    right = {
        "unet/config.json: sample_size": _is_count(unet.get("sample_size")),
        "vae/config.json: block_out_channels": _are_counts(vae.get("block_out_channels")),
        "vae/config.json: scaling_factor": _is_factor(vae.get("scaling_factor", 1.0)),
    }
    for name, fine in _schedule(scheduler).items():
        right[f"scheduler/scheduler_config.json: {name}"] = fine
    for part, settings in encoders.items():
        right[f"{part}/config.json: hidden_size"] = _is_count(settings.get("hidden_size"))
        names = settings.get("architectures")
        right[f"{part}/config.json: architectures"] = names is None or isinstance(names, list)
    return [what for what, fine in right.items() if not fine]


def _schedule(scheduler: Settings) -> dict[str, bool]:
    trained, betas = scheduler.get("num_train_timesteps", _TRAINED), scheduler.get("trained_betas")
    offset = scheduler.get("steps_offset", 0)
    return {
        "num_train_timesteps": _is_count(trained),
        "timestep_spacing": scheduler.get("timestep_spacing", _SPACINGS[0]) in _SPACINGS,
        "steps_offset": offset == 0 or offset == 1,
        "trained_betas": betas is None or (isinstance(betas, list) and len(betas) == trained),
    }


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_count, value))


def _is_factor(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0
