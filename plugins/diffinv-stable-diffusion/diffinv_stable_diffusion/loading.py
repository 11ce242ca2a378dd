"""From a checked source, a folder or one file, to frozen models. Does not use the network."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from diffinv.errors import DiffinvError
from diffinv.system.memory import use_tiles

from .memory import MemoryPlan, vae_factor
from .single_file import SingleFile, bundled_tokenizer
from .sources import Source, has_projection, towers

TextModel: TypeAlias = CLIPTextModel | CLIPTextModelWithProjection

_LOUD = ("diffusers", "transformers")


@dataclass(frozen=True)
class Parts:
    """The models of a checkpoint, frozen, in evaluation mode, on the CPU."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_models: tuple[TextModel, ...]
    tokenizers: tuple[CLIPTokenizer, ...]
    scheduler: DDIMScheduler


def load_parts(source: Source, plan: MemoryPlan) -> Parts:
    """All parts of a source: the autoencoder in float32, the rest in the plan's dtype.

    Raises DiffinvError if the weights do not fit the settings beside them.
    """
    with _quiet(), _errors_named(source):
        parts = _from_file(source, plan) if source.is_file else _from_folder(source, plan)
    for model in (parts.unet, parts.vae, *parts.text_models):
        model.eval().requires_grad_(False)
    if plan.low:
        parts.unet.enable_gradient_checkpointing()
        use_tiles(parts.vae, vae_factor(source))
    for model, tokenizer in zip(parts.text_models, parts.tokenizers, strict=True):
        _check_length(source, tokenizer)
        _mend_end_token(model, tokenizer)
    return parts


def make_scheduler(source: Source) -> DDIMScheduler:
    """DDIM with the checkpoint's own noise schedule, spacing and prediction type.

    Nothing is clipped, and the last step goes all the way to the clean latents.
    """
    changes = {"clip_sample": False, "thresholding": False, "set_alpha_to_one": True}
    return DDIMScheduler.from_config({**source.scheduler, **changes})


def _from_folder(source: Source, plan: MemoryPlan) -> Parts:
    def part(cls: Any, name: str, dtype: torch.dtype) -> Any:
        model, report = cls.from_pretrained(
            source.path / name,
            dtype=dtype,
            variant=source.weights[name].variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        _check_complete(source, name, report["missing_keys"])
        return model

    names = towers(source.family)
    tokenizers = tuple(
        CLIPTokenizer.from_pretrained(
            source.path / name.replace("text_encoder", "tokenizer"), local_files_only=True
        )
        for name in names
    )
    return Parts(
        part(UNet2DConditionModel, "unet", plan.dtype),
        part(AutoencoderKL, "vae", torch.float32),
        tuple(part(_text_class(source, name), name, plan.dtype) for name in names),
        tokenizers,
        make_scheduler(source),
    )


def _check_complete(source: Source, part: str, missing: Iterable[str]) -> None:
    """Refuse missing tensors, which the libraries would fill with random numbers or leave unset."""
    names = sorted(missing)
    if names:
        raise DiffinvError(
            f"The model {source.name!r} is incomplete: the weights of its {part} lack "
            f"{len(names)} tensors, among them {names[0]!r}; get another copy of it."
        )


def _from_file(source: Source, plan: MemoryPlan) -> Parts:
    file = SingleFile(source)
    names = towers(source.family)
    return Parts(
        file.unet(plan.dtype),
        file.vae(),
        tuple(file.text_model(n, _text_class(source, n), plan.dtype) for n in names),
        tuple(bundled_tokenizer(source, n.replace("text_encoder", "tokenizer")) for n in names),
        make_scheduler(source),
    )


def _text_class(source: Source, part: str) -> type[TextModel]:
    """The class the encoder was saved as: with or without its text projection."""
    if has_projection(source, part):
        with_projection: type[TextModel] = CLIPTextModelWithProjection
        return with_projection
    return CLIPTextModel


def _check_length(source: Source, tokenizer: CLIPTokenizer) -> None:
    length: object = tokenizer.model_max_length
    if not isinstance(length, int) or length < 3:
        raise DiffinvError(
            f"The settings of the model {source.name!r} are damaged (model_max_length of a "
            f"tokenizer is {length!r}); get another copy of it."
        )


def _mend_end_token(model: TextModel, tokenizer: CLIPTokenizer) -> None:
    """Take the end token, which locates the pooled output, from the tokenizer: old settings give 2,
    some none."""
    inner: Any = getattr(model, "text_model", model)
    if inner.eos_token_id in (2, None):
        inner.eos_token_id = tokenizer.eos_token_id


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' bars, and their reports on weights."""
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()


@contextlib.contextmanager
def _errors_named(source: Source) -> Iterator[None]:
    try:
        yield
    except DiffinvError:
        raise
    except Exception as error:
        raise DiffinvError(
            f"The weights of the model {source.name!r} do not fit the settings of a "
            f"{source.family.title} checkpoint ({type(error).__name__}); get another copy of it, "
            "or name its family with --backbone."
        ) from error
