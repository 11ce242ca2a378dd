"""FLUX.2 klein (base): words and patches in two streams, then one, trained by flow matching.

What it attends to are three layers of a language model side by side, all 512 places of them, those
behind the prompt too. They share no space with pictures, so differences are learned by token
consistency alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import AutoModel

from diffinv.contracts import Conditioning, PredictionType, RectifiedFlow
from diffinv.errors import DiffinvError
from diffinv.system.weights import weights_id

from .folders import KLEIN, find_folder, weight_files
from .loading import dtype_on, loaded, network, scheduler, shift_of, sigmas, tokenizer
from .prompts import MAX_TOKENS, ChatPrompts

LAYERS = (9, 18, 27)
"""The hidden states that the transformer reads, of the 36 layers of the real text encoder."""

_USUAL_STEPS = 50
_SIDE = 1024


def load(weights: str | None, device: str) -> Klein:
    """A checkpoint from a folder, or from a hub id fetched before: float32 on a CPU, else bf16."""
    return loaded(Klein, find_folder(KLEIN, weights), device)


class Klein:
    """See :class:`diffinv.contracts.Backbone`. Latents are patches of 2 x 2 of the autoencoder's,
    normalised by its own statistics: [n, 128, h / 16, w / 16]."""

    id = KLEIN.id
    joint_space = None
    prediction_type: PredictionType = "flow"

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device, dtype = device, dtype_on(device)
        self.weights_id = weights_id(weight_files(folder))
        self.transformer = network(Flux2Transformer2DModel, folder / "transformer", device, dtype)
        self.vae = network(AutoencoderKLFlux2, folder / "vae", device, torch.float32)
        self.text_encoder = network(AutoModel, folder / "text_encoder", device, dtype)
        self.prompts = ChatPrompts(tokenizer(folder), thinking=False)
        self.scheduler = scheduler(folder)
        self.size_multiple = 2 ** len(self.vae.config.block_out_channels)
        self.resolution: int = min(_SIDE, self.vae.config.sample_size)
        self.token_width: int = len(LAYERS) * self.text_encoder.config.hidden_size
        self.token_budget = self.prompts.budget
        self.schedule = RectifiedFlow(shift=shift_of(self.scheduler, self._mu(_USUAL_STEPS)))

    def timesteps(self, steps: int) -> list[float]:
        """Shares of noise from 1 down, as the checkpoint's own scheduler spaces them."""
        return sigmas(self.scheduler, steps, self._mu(steps))

    def _mu(self, steps: int) -> float:
        """The shift's logarithm for so many steps and pictures of this resolution."""
        patches = (self.resolution // self.size_multiple) ** 2
        return compute_empirical_mu(patches, steps)

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] to normalised patches of the posterior's mode."""
        mode = self.vae.encode(images.to(self.device, torch.float32)).latent_dist.mode()
        mean, deviation = self._statistics()
        return (F.pixel_unshuffle(mode, 2) - mean) / deviation

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures in about [-1, 1], in float32."""
        mean, deviation = self._statistics()
        return self.vae.decode(F.pixel_shuffle(latents.float() * deviation + mean, 2)).sample

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of patches, [1, 128, 1, 1]."""
        norm = self.vae.bn
        deviation = (norm.running_var + self.vae.config.batch_norm_eps).sqrt()
        return norm.running_mean[None, :, None, None], deviation[None, :, None, None]

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens without those of the chat template."""
        return self.prompts.count(prompt)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, 512, 3 width]; prompts that are too long are cut at the end. Additive
        tokens reach the prompt's own words."""
        rows = self.prompts.rows(prompts)
        ids, mask = self.prompts.filled(rows, MAX_TOKENS, self.device)
        states = self.text_encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False
        ).hidden_states
        hidden = torch.cat([states[layer] for layer in LAYERS], dim=-1).float()
        return Conditioning(hidden, reach=self.prompts.reach(rows, MAX_TOKENS, self.device))

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The flow eps - x_0 at shares of noise [n], computed in the model's dtype."""
        dtype, embeds = self.transformer.dtype, conditioning.prompt_embeds
        height, width = noisy.shape[-2:]
        found = self.transformer(
            hidden_states=noisy.flatten(2).transpose(1, 2).to(dtype),
            timestep=timesteps.to(dtype),
            guidance=None,
            encoder_hidden_states=embeds.to(dtype),
            txt_ids=_places(len(noisy), 1, 1, embeds.shape[1], self.device),
            img_ids=_places(len(noisy), height, width, 1, self.device),
            return_dict=False,
        )[0]
        return found.float().transpose(1, 2).unflatten(2, (height, width))

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """There is no joint space."""
        raise DiffinvError("FLUX.2's words share no space with pictures.")


def _places(count: int, height: int, width: int, length: int, device: torch.device) -> Tensor:
    """Where words and patches stand: [n, height * width * length, 4] (picture, row, column,
    word)."""
    axes = (torch.arange(size, device=device) for size in (1, height, width, length))
    return torch.cartesian_prod(*axes)[None].expand(count, -1, -1)
