"""Stable Diffusion behind diffinv's contract: one class, four families."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

import torch
from torch import Tensor

from diffinv.contracts import (
    POOLED,
    Addition,
    Conditioning,
    PredictionType,
    VariancePreserving,
)
from diffinv.errors import DiffinvError, UsageError
from diffinv.system.weights import weights_id

from .encoding import Tower
from .families import FAMILIES
from .loading import load_parts
from .memory import MemoryPlan, plan_memory, resolution
from .parts import Parts
from .projection import text_projection
from .sources import Source, find_source


def load(
    family: str,
    weights: str | None,
    device: str | None,
    additions: Sequence[Addition] = (),
    dtype: torch.dtype | None = None,
) -> StableDiffusion:
    """A family's checkpoint: a hub id in the local cache, a folder, or a .safetensors file; with
    ``additions``.

    Anything wrong with it raises DiffinvError before the first weight is read; ``dtype`` None is
    what suits the device.
    """
    where = torch.device(device or "cpu")
    source = find_source(FAMILIES[family], weights, additions)
    return StableDiffusion(source, plan_memory(source, where, dtype), where)


load_sd15 = partial(load, "sd15")
load_sd21_base = partial(load, "sd21-base")
load_sd21 = partial(load, "sd21")
load_sdxl = partial(load, "sdxl")


class StableDiffusion:
    """See :class:`diffinv.contracts.Backbone`.

    The vectors of SDXL's two text encoders are side by side, 2048 = 768 | 1280. The joint space is
    the second encoder's, so only its part is projected. The pooled embedding is the prompt's own;
    with input-space tokens it is that of the prompt with them, as in any program that reads them.
    """

    def __init__(self, source: Source, plan: MemoryPlan, device: torch.device) -> None:
        parts = load_parts(source, plan)
        self.family, self.plan, self.device = source.family, plan, device
        self.id = source.family.id
        self.joint_space = source.family.joint_space
        self.weights_id = weights_id(source.files, source.additions)
        self.unet = parts.unet.to(device)
        self.vae = parts.vae.to(device)
        self.scheduler = parts.scheduler
        self.towers = _towers(parts, plan, device)
        self.schedule = VariancePreserving(self.scheduler.alphas_cumprod.float().to(device))
        self.prediction_type: PredictionType = self.scheduler.config.prediction_type
        self.resolution = resolution(source)
        self.size_multiple = _size_multiple(parts)
        self.token_budget = min(tower.length for tower in self.towers) - 2
        self.token_width = sum(tower.width for tower in self.towers)
        self.pooled_width = self.towers[-1].pooled_width if len(self.towers) > 1 else None
        self._force_zeros = source.force_zeros
        self._brought: Tensor | None = None

    def timesteps(self, steps: int) -> list[int]:
        """Descending timesteps, as the checkpoint's own scheduler spaces them.

        Raises UsageError for more steps than the model was trained on.
        """
        most = len(self.schedule.alphas_cumprod) - self.scheduler.config.steps_offset
        if steps > most:
            raise UsageError(f"The backbone {self.id!r} takes at most {most} --steps, not {steps}.")
        self.scheduler.set_timesteps(steps)
        return [int(t) for t in self.scheduler.timesteps]

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Pictures to latents: the posterior's mean, scaled, in float32."""
        mean = self.vae.encode(images.to(self.device, torch.float32)).latent_dist.mean
        return mean * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures in about [-1, 1], in float32."""
        return self.vae.decode(latents.float() / self.vae.config.scaling_factor).sample

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens, not counting start and end."""
        return max(len(tower.words(prompt)) for tower in self.towers)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, 77, width]; prompts that are too long are cut at the end.

        SDXL's empty prompt is zeros if the checkpoint says so, as in its training.
        """
        prompts = list(prompts)
        encoded = self._encode(prompts, None)
        embeds, extra = encoded.prompt_embeds, dict(encoded.extra)
        if self._force_zeros:
            said = torch.tensor([bool(p) for p in prompts], device=self.device)
            embeds = embeds * said[:, None, None]
            extra[POOLED] = extra[POOLED] * said[:, None]
        return Conditioning(embeds, extra, lambda values: self._encode(prompts, values))

    def _encode(self, prompts: list[str], values: Tensor | None) -> Conditioning:
        """Hidden states side by side, and the last encoder's pooled output if there are two."""
        widths = [tower.width for tower in self.towers]
        split = [None] * len(widths) if values is None else values.split(widths, dim=-1)
        outputs = [t.encode(prompts, v) for t, v in zip(self.towers, split, strict=True)]
        hidden = torch.cat([hidden for hidden, _ in outputs], dim=-1)
        pooled = outputs[-1][1]
        extra = {POOLED: pooled} if len(widths) > 1 and pooled is not None else {}
        return Conditioning(hidden, extra)

    def _time_ids(self, noisy: Tensor) -> Tensor:
        """Time ids for pictures of the latents' size, neither cropped nor resized."""
        scale = 2 ** (len(self.vae.config.block_out_channels) - 1)
        height, width = (side * scale for side in noisy.shape[-2:])
        one = torch.tensor([height, width, 0, 0, height, width], device=self.device)
        return one.repeat(len(noisy), 1)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Epsilon or v for noisy latents, computed in the plan's dtype, returned in float32."""
        dtype, added = self.plan.dtype, {}
        if len(self.towers) > 1:
            added["text_embeds"] = conditioning.extra[POOLED].to(dtype)
            added["time_ids"] = self._time_ids(noisy).to(dtype)
        return self.unet(
            noisy.to(dtype),
            timesteps,
            encoder_hidden_states=conditioning.prompt_embeds.to(dtype),
            added_cond_kwargs=added or None,
        ).sample.float()

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """[n, width] to the joint space [n, d], by the last encoder's text projection.

        No layer norm comes first: a token is a change of hidden states, and zero must stay zero.
        """
        return tokens[:, -self.towers[-1].width :] @ self._projection

    def take_projection(self, matrix: Tensor) -> None:
        """Use a delta encoder's text projection [width, d] if the checkpoint has none of its own.

        Raises DiffinvError if it is of another width: the encoder is not of this text encoder's
        family then.
        """
        if self.towers[-1].width != len(matrix):
            raise DiffinvError(
                f"The delta encoder's text projection takes vectors {len(matrix)} wide, the text "
                f"encoder of {self.id!r} gives {self.towers[-1].width}; choose the "
                "--delta-encoder that the text encoder was taken from."
            )
        self._brought = matrix.detach().float().to(self.device)

    @cached_property
    def _projection(self) -> Tensor:
        model = self.towers[-1].model
        if self._brought is not None and getattr(model, "text_projection", None) is None:
            return self._brought
        return text_projection(self.family, model).to(self.device)


def _size_multiple(parts: Parts) -> int:
    """By how much the autoencoder and then the denoiser make pictures smaller."""
    halvings = len(parts.vae.config.block_out_channels) + len(parts.unet.config.block_out_channels)
    return int(2 ** (halvings - 2))


def _towers(parts: Parts, plan: MemoryPlan, device: torch.device) -> tuple[Tower, ...]:
    leave = plan.low and device.type != "cpu"
    several = len(parts.text_models) > 1
    pairs = zip(parts.tokenizers, parts.text_models, strict=True)
    return tuple(Tower(tokenizer, model, device, several, leave) for tokenizer, model in pairs)
