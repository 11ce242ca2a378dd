"""From a checked source, a folder or one file, to frozen models. Does not use the network."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from diffinv.errors import DiffinvError
from diffinv.system.memory import use_tiles

from .lora_fusing import fuse
from .memory import MemoryPlan, vae_factor
from .parts import Parts, TextModel
from .single_file import SingleFiles, bundled_tokenizer
from .sources import Source, bundled_configs, has_projection

_LOUD = ("diffusers", "transformers")


def load_parts(source: Source, plan: MemoryPlan) -> Parts:
    """All parts of a source: the autoencoder in float32, the rest in the plan's dtype.

    Raises DiffinvError if the weights do not fit the settings beside them.
    """
    with _quiet(), _errors_named(source):
        parts = _Loader(source, plan).parts()
        for lora in source.loras:
            fuse(lora, parts)
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

    Nothing is clipped, and the last step goes all the way to the clean latents. A last level at
    which nothing is left of the picture is left out for models that predict noise: what was there
    before it does not follow from the noise.
    """
    changes = {"clip_sample": False, "thresholding": False, "set_alpha_to_one": True}
    settings = {**source.scheduler, **changes}
    whole = DDIMScheduler.from_config(settings)
    if whole.alphas_cumprod[-1] > 0 or whole.config.prediction_type == "v_prediction":
        return whole
    shorter = {
        "trained_betas": whole.betas[:-1].tolist(),
        "num_train_timesteps": len(whole.betas) - 1,
        "rescale_betas_zero_snr": False,
    }
    return DDIMScheduler.from_config(settings | shorter)


class _Loader:
    """Loads a source's components, each from where it is."""

    def __init__(self, source: Source, plan: MemoryPlan) -> None:
        self.source, self.plan = source, plan
        self.files = SingleFiles(source)

    def parts(self) -> Parts:
        names, dtype = self.source.family.text_encoders, self.plan.dtype
        return Parts(
            self._model("unet", UNet2DConditionModel, dtype),
            self._model("vae", AutoencoderKL, torch.float32),
            tuple(self._text_model(name) for name in names),
            tuple(self._tokenizer(name) for name in names),
            make_scheduler(self.source),
        )

    def _model(self, part: str, cls: Any, dtype: torch.dtype) -> Any:
        if self.source.components[part].prefix is None:
            return self._from_folder(part, cls, dtype)
        return self.files.model(part, cls, dtype)

    def _text_model(self, part: str) -> TextModel:
        cls, dtype = _text_class(self.source, part), self.plan.dtype
        if self.source.components[part].prefix is None:
            folder_model: TextModel = self._from_folder(part, cls, dtype)
            return folder_model
        model: TextModel = self.files.text_model(part, cls, dtype)
        return model

    def _from_folder(self, part: str, cls: Any, dtype: torch.dtype) -> Any:
        component = self.source.components[part]
        model, report = cls.from_pretrained(
            component.settings.parent,
            dtype=dtype,
            variant=component.variant,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
        _check_complete(self.source, part, report["missing_keys"])
        return model

    def _tokenizer(self, part: str) -> CLIPTokenizer:
        folder = self.source.tokenizer(part)
        if folder is not None:
            return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        configs = bundled_configs(self.source.family)
        return bundled_tokenizer(configs, part.replace("text_encoder", "tokenizer"))


def _check_complete(source: Source, part: str, missing: Iterable[str]) -> None:
    """Refuse missing tensors, which the libraries would fill with random numbers or leave unset."""
    names = sorted(missing)
    if names:
        raise DiffinvError(
            f"The model {source.name!r} is incomplete: the weights of its {part} lack "
            f"{len(names)} tensors, among them {names[0]!r}; get another copy of it."
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
