"""Z-Image: one stream of words and patches, trained by flow matching on straight paths.

Its text encoder is a language model that shares no space with pictures, so differences are learned
by token consistency alone. The pipeline's guidance g is ours minus 1: it adds g (pos - neg) to pos.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers import AutoencoderKL, ZImageTransformer2DModel
from torch import Tensor

from diffinv.contracts import Addition, Conditioning

from .chat_flow import ChatFlow
from .checkpoints import Z_IMAGE, find_checkpoint
from .loading import loaded

_LAYER = -2
"""The hidden states that the transformer reads: those before the last layer."""


def load(weights: str | None, device: str, additions: Sequence[Addition] = ()) -> ZImage:
    """A checkpoint: a folder, a hub id fetched before, or a .safetensors transformer; ``additions``
    take the place of its own parts."""
    return loaded(ZImage, find_checkpoint(Z_IMAGE, weights, additions), device)


class ZImage(ChatFlow):
    """See :class:`diffinv.contracts.Backbone`."""

    family = Z_IMAGE
    transformer_class, vae_class = ZImageTransformer2DModel, AutoencoderKL
    thinking = True

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, length, width], filled up to the longest prompt; those that are too
        long are cut at the end. Additive tokens reach the prompt's own words."""
        rows = self.prompts.rows(prompts)
        length = max(map(len, rows))
        ids, mask = self.prompts.filled(rows, length, self.device)
        text_encoder = self.places.bring(self.text_encoder)
        hidden = text_encoder(
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
        transformer = self.places.bring(self.transformer)
        found = transformer(patches, 1 - timesteps.float(), words, return_dict=False)[0]
        return -torch.stack([one.float() for one in found])[:, :, 0]
