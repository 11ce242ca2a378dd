"""FLUX.2 klein (base): words and patches in two streams, then one, trained by flow matching.

What it attends to are three layers of a language model side by side, all 512 places of them, those
behind the prompt too. They share no space with pictures, so differences are learned by token
consistency alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2 import compute_empirical_mu
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from diffinv.contracts import Addition, Conditioning

from .chat_flow import ChatFlow
from .checkpoints import KLEIN, Checkpoint, find_checkpoint
from .loading import loaded
from .prompts import MAX_TOKENS

LAYERS = (9, 18, 27)
"""The hidden states that the transformer reads, of the 36 layers of the real text encoder."""


def load(weights: str | None, device: str, additions: Sequence[Addition] = ()) -> Klein:
    """A checkpoint: a folder, a hub id fetched before, or a .safetensors transformer; ``additions``
    take the place of its own parts."""
    return loaded(Klein, find_checkpoint(KLEIN, weights, additions), device)


class Klein(ChatFlow):
    """See :class:`diffinv.contracts.Backbone`. Latents are patches of 2 x 2 of the autoencoder's,
    normalised by its own statistics: [n, 128, h / 16, w / 16]."""

    family = KLEIN
    transformer_class, vae_class = Flux2Transformer2DModel, AutoencoderKLFlux2
    thinking = False

    def __init__(self, found: Checkpoint, device: torch.device) -> None:
        super().__init__(found, device)
        self.token_width *= len(LAYERS)

    def log_shift(self, steps: int) -> float:
        """As its authors found it."""
        return float(compute_empirical_mu(self.patches, steps))

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] to normalised patches of the posterior's mode."""
        vae = self.places.bring(self.vae)
        mode = vae.encode(images.to(self.device, torch.float32)).latent_dist.mode()
        mean, deviation = self._statistics()
        return (F.pixel_unshuffle(mode, 2) - mean) / deviation

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures in about [-1, 1], in float32."""
        vae = self.places.bring(self.vae)
        mean, deviation = self._statistics()
        return vae.decode(F.pixel_shuffle(latents.float() * deviation + mean, 2)).sample

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of patches, [1, 128, 1, 1]."""
        norm = self.vae.bn
        deviation = (norm.running_var + self.vae.config.batch_norm_eps).sqrt()
        return norm.running_mean[None, :, None, None], deviation[None, :, None, None]

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, 512, 3 width]; prompts that are too long are cut at the end. Additive
        tokens reach the prompt's own words."""
        rows = self.prompts.rows(prompts)
        ids, mask = self.prompts.filled(rows, MAX_TOKENS, self.device)
        text_encoder = self.places.bring(self.text_encoder)
        states = text_encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False
        ).hidden_states
        hidden = torch.cat([states[layer] for layer in LAYERS], dim=-1).float()
        return Conditioning(hidden, reach=self.prompts.reach(rows, MAX_TOKENS, self.device))

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The flow eps - x_0 at shares of noise [n], computed in the model's dtype."""
        dtype, embeds = self.transformer.dtype, conditioning.prompt_embeds
        height, width = noisy.shape[-2:]
        transformer = self.places.bring(self.transformer)
        found = transformer(
            hidden_states=noisy.flatten(2).transpose(1, 2).to(dtype),
            timestep=timesteps.to(dtype),
            guidance=None,
            encoder_hidden_states=embeds.to(dtype),
            txt_ids=_places(len(noisy), 1, 1, embeds.shape[1], self.device),
            img_ids=_places(len(noisy), height, width, 1, self.device),
            return_dict=False,
        )[0]
        return found.float().transpose(1, 2).unflatten(2, (height, width))


def _places(count: int, height: int, width: int, length: int, device: torch.device) -> Tensor:
    """Where words and patches stand: [n, height * width * length, 4] (picture, row, column,
    word)."""
    axes = (torch.arange(size, device=device) for size in (1, height, width, length))
    return torch.cartesian_prod(*axes)[None].expand(count, -1, -1)
