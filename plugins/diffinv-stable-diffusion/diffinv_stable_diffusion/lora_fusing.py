"""Changes a checkpoint's weights by a LoRA, through diffusers' own loader."""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors import safe_open

from diffinv.contracts import Addition
from diffinv.errors import DiffinvError
from diffinv.system.paths import given_path
from diffinv.system.text import text_safe

from .loras import DOWN
from .parts import Parts

_NAME = "added"


def fuse(lora: Addition, parts: Parts) -> None:
    """Add a LoRA, ``weight`` times, to the weights of denoiser and text encoders, for good.

    Raises DiffinvError if some of it has no place in the model: diffusers would leave that out.
    """
    path, name = given_path(lora.path), text_safe(lora.path)
    pipe = _pipeline(parts)
    try:
        pipe.load_lora_weights(str(path.absolute()), adapter_name=_NAME, use_safetensors=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DiffinvError(
            f"--lora {name!r} does not fit the model ({type(error).__name__}: {reason}); give one "
            "of its family."
        ) from error
    models = (parts.unet, *parts.text_models)
    with safe_open(path, "pt") as file:
        wanted = sum(DOWN.fullmatch(key) is not None for key in file.keys())  # noqa: SIM118
    if (found := sum(map(_changed_layers, models))) != wanted:
        raise DiffinvError(
            f"--lora {name!r} changes {wanted} layers, of which the model has {found}; give one of "
            "its family."
        )
    texts = ("text_encoder", "text_encoder_2")[: len(parts.text_models)]
    pipe.fuse_lora(components=["unet", *texts], lora_scale=lora.weight)
    pipe.unload_lora_weights()


def _changed_layers(model: Any) -> int:
    return sum(_NAME in getattr(module, "lora_A", {}) for module in model.modules())


def _pipeline(parts: Parts) -> Any:
    """diffusers' pipeline around the models, which it does not copy."""
    common = {
        "vae": parts.vae,
        "text_encoder": parts.text_models[0],
        "tokenizer": parts.tokenizers[0],
        "unet": parts.unet,
        "scheduler": parts.scheduler,
    }
    if len(parts.text_models) == 1:
        return StableDiffusionPipeline(
            **common, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
    return StableDiffusionXLPipeline(
        **common, text_encoder_2=parts.text_models[1], tokenizer_2=parts.tokenizers[1]
    )
