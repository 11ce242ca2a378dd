"""Stable Diffusion 3.5: words and patches in two streams, trained by flow matching.

It attends to the places of two CLIP text encoders side by side, filled up to T5's width, and behind
them to T5's, if the checkpoint has it. Additive tokens reach CLIP's places alone, since T5's are of
another space; the joint space is that of the second CLIP, as for SDXL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPTextModelWithProjection, T5EncoderModel

from diffinv.contracts import POOLED, Addition, Conditioning

from .checkpoints import SD3, Checkpoint, find_checkpoint
from .flow import Flow
from .loading import loaded, tokenizer

_T5_LENGTH = 256
"""T5's places, as in diffusers' pipeline."""

_LAYER = -2
"""The hidden states of CLIP that the transformer reads: those before the last layer."""


def load(weights: str | None, device: str, additions: Sequence[Addition] = ()) -> StableDiffusion3:
    """A checkpoint: a folder, a hub id fetched before, or a .safetensors transformer; ``additions``
    take the place of its own parts."""
    return loaded(StableDiffusion3, find_checkpoint(SD3, weights, additions), device)


class StableDiffusion3(Flow):
    """See :class:`diffinv.contracts.Backbone`."""

    family = SD3
    transformer_class, vae_class = SD3Transformer2DModel, AutoencoderKL
    joint_space = "open-clip:ViT-bigG-14"

    def __init__(self, found: Checkpoint, device: torch.device) -> None:
        super().__init__(found, device)
        names = ("text_encoder", "text_encoder_2")
        kind = CLIPTextModelWithProjection
        self.text_encoder, self.text_encoder_2 = (
            self._take(kind, found, part, self.dtype) for part in names
        )
        self.tokenizers = tuple(
            tokenizer(found.folder, part.replace("text_encoder", "tokenizer")) for part in names
        )
        self.text_encoder_3 = self.tokenizer_3 = None
        if "text_encoder_3" in found.places:
            self.text_encoder_3 = self._take(T5EncoderModel, found, "text_encoder_3", self.dtype)
            self.tokenizer_3 = tokenizer(found.folder, "tokenizer_3")
        widths = [encoder.config.hidden_size for encoder in self._clips]
        self._second = slice(widths[0], sum(widths))
        self.token_width: int = self.transformer.config.joint_attention_dim
        self.token_budget = min(one.model_max_length for one in self.tokenizers) - 2
        self.pooled_width = sum(int(encoder.config.projection_dim) for encoder in self._clips)
        weight = self.text_encoder_2.text_projection.weight
        self._projection = weight.detach().float().T.to(device)

    @property
    def _clips(self) -> tuple[Any, Any]:
        return self.text_encoder, self.text_encoder_2

    def timesteps(self, steps: int) -> list[float]:
        """Shares of noise from 1 down, as the checkpoint's own scheduler spaces them by itself."""
        self.scheduler.set_timesteps(steps, mu=self.log_shift(steps))
        return [float(sigma) for sigma in self.scheduler.sigmas[:-1]]

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens for CLIP, not counting start and end; T5 reads more."""
        read = {"add_special_tokens": False, "verbose": False}
        return max(len(one.encode(prompt, **read)) for one in self.tokenizers)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, 77 + 256, 4096]; prompts that are too long are cut at the end."""
        hidden, pooled = [], []
        for one, encoder in zip(self.tokenizers, self._clips, strict=True):
            ids = self._ids(one, prompts, one.model_max_length)
            found = self.places.bring(encoder)(ids, output_hidden_states=True)
            hidden.append(found.hidden_states[_LAYER].float())
            pooled.append(found.text_embeds.float())
        clip = torch.cat(hidden, dim=-1)
        clip = F.pad(clip, (0, self.token_width - clip.shape[-1]))
        embeds = torch.cat([clip, self._t5(prompts)], dim=1)
        reach = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=self.device)
        reach[:, 1 : clip.shape[1]] = True
        return Conditioning(embeds, {POOLED: torch.cat(pooled, dim=-1)}, reach=reach)

    def _t5(self, prompts: Sequence[str]) -> Tensor:
        """T5's places [n, 256, 4096]; zeros without it."""
        if self.text_encoder_3 is None:
            return torch.zeros(len(prompts), _T5_LENGTH, self.token_width, device=self.device)
        ids = self._ids(self.tokenizer_3, prompts, _T5_LENGTH)
        found: Tensor = self.places.bring(self.text_encoder_3)(ids)[0].float()
        return found

    def _ids(self, reader: Any, prompts: Sequence[str], length: int) -> Tensor:
        ids: Tensor = reader(
            list(prompts),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return ids.to(self.device)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The flow eps - x_0 at shares of noise [n], computed in the model's dtype."""
        transformer, dtype = self.places.bring(self.transformer), self.dtype
        found: Tensor = transformer(
            hidden_states=noisy.to(dtype),
            timestep=timesteps * self.scheduler.config.num_train_timesteps,
            encoder_hidden_states=conditioning.prompt_embeds.to(dtype),
            pooled_projections=conditioning.extra[POOLED].to(dtype),
            return_dict=False,
        )[0]
        return found.float()

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """The second CLIP's part of tokens, to the joint space."""
        return tokens[:, self._second] @ self._projection
