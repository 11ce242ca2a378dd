"""Z-Image: one stream of words and patches, trained by flow matching on straight paths.

Its text encoder is a language model that shares no space with pictures, so differences are learned
by token consistency alone. The pipeline's guidance g is ours minus 1: it adds g (pos - neg) to pos.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ZImageTransformer2DModel
from torch import Tensor
from transformers import AutoModel

from diffinv.contracts import Conditioning, PredictionType, RectifiedFlow
from diffinv.errors import DiffinvError
from diffinv.system.weights import weights_id

from .folders import Z_IMAGE, find_folder, weight_files
from .loading import dtype_on, loaded, network, scheduler, shift_of, sigmas, tokenizer
from .prompts import ChatPrompts

_LAYER = -2
"""The hidden states that the transformer reads: those before the last layer."""


def load(weights: str | None, device: str) -> ZImage:
    """A checkpoint from a folder, or from a hub id fetched before: float32 on a CPU, else bf16."""
    return loaded(ZImage, find_folder(Z_IMAGE, weights), device)


class ZImage:
    """See :class:`diffinv.contracts.Backbone`."""

    id = Z_IMAGE.id
    joint_space = None
    prediction_type: PredictionType = "flow"

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device, dtype = device, dtype_on(device)
        self.weights_id = weights_id(weight_files(folder))
        self.transformer = network(ZImageTransformer2DModel, folder / "transformer", device, dtype)
        self.vae = network(AutoencoderKL, folder / "vae", device, torch.float32)
        self.text_encoder = network(AutoModel, folder / "text_encoder", device, dtype)
        self.prompts = ChatPrompts(tokenizer(folder), thinking=True)
        self.scheduler = scheduler(folder)
        self.resolution: int = self.vae.config.sample_size
        self.size_multiple = 2 ** len(self.vae.config.block_out_channels)
        self.token_width: int = self.text_encoder.config.hidden_size
        self.token_budget = self.prompts.budget
        self.schedule = RectifiedFlow(shift=shift_of(self.scheduler, self._mu()))

    def timesteps(self, steps: int) -> list[float]:
        """Shares of noise from 1 down, as the checkpoint's own scheduler spaces them."""
        return sigmas(self.scheduler, steps, self._mu())

    def _mu(self) -> float:
        """The shift's logarithm for pictures of this resolution: linear in the number of
        patches."""
        config = self.scheduler.config
        patches = (self.resolution // self.size_multiple) ** 2
        first, last = config.base_image_seq_len, config.max_image_seq_len
        slope = (config.max_shift - config.base_shift) / (last - first)
        return float(config.base_shift + slope * (patches - first))

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] to [n, 16, h / 8, w / 8]: the posterior's mean, scaled."""
        mean = self.vae.encode(images.to(self.device, torch.float32)).latent_dist.mean
        return (mean - self.vae.config.shift_factor) * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures in about [-1, 1], in float32."""
        scaled = latents.float() / self.vae.config.scaling_factor + self.vae.config.shift_factor
        return self.vae.decode(scaled).sample

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens without those of the chat template."""
        return self.prompts.count(prompt)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, length, width], filled up to the longest prompt; those that are too
        long are cut at the end. Additive tokens reach the prompt's own words."""
        rows = self.prompts.rows(prompts)
        length = max(map(len, rows))
        ids, mask = self.prompts.filled(rows, length, self.device)
        hidden = self.text_encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=True
        ).hidden_states[_LAYER]
        reach = self.prompts.reach(rows, length, self.device)
        return Conditioning(hidden.float() * mask[:, :, None], mask=mask, reach=reach)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The flow eps - x_0 at shares of noise [n], computed in the model's dtype."""
        dtype, mask = self.transformer.dtype, conditioning.mask
        assert mask is not None
        embeds = conditioning.prompt_embeds.to(dtype)
        words = [row[kept] for row, kept in zip(embeds, mask, strict=True)]
        patches = list(noisy.to(dtype)[:, :, None].unbind(0))
        found = self.transformer(patches, 1 - timesteps.float(), words, return_dict=False)[0]
        return -torch.stack([one.float() for one in found])[:, :, 0]

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """There is no joint space."""
        raise DiffinvError("Z-Image's words share no space with pictures.")
