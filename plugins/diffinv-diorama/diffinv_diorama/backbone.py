"""The embedded backbone: diffusers and transformers classes behind diffinv's contract."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from diffinv.contracts import Conditioning, PredictionType, VariancePreserving

from .weights import pipeline_folder, without_loading_bars

JOINT_SPACE = "diorama-clip"


def load(weights: str | None, device: str) -> DioramaBackbone:
    """The backbone from a folder in diffusers' layout (default: the installed one)."""
    without_loading_bars()
    return DioramaBackbone(Path(weights) if weights else pipeline_folder(), torch.device(device))


def content_hash(folder: Path) -> str:
    """SHA-256 over the model's weight files, in order of name."""
    digest = hashlib.sha256()
    for part in ("text_encoder", "unet", "vae"):
        for file in sorted((folder / part).glob("*.safetensors")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class DioramaBackbone:
    """See :class:`diffinv.contracts.Backbone`. Runs in float32."""

    id = "diorama"
    joint_space = JOINT_SPACE
    knows_parts = False

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.weights_id = content_hash(folder)
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.text_encoder = CLIPTextModelWithProjection.from_pretrained(
            folder / "text_encoder", dtype=torch.float32
        )
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
        for model in (self.text_encoder, self.unet, self.vae):
            model.to(device).eval().requires_grad_(False)
        self.scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        self.schedule = VariancePreserving(self.scheduler.alphas_cumprod.float().to(device))
        self.prediction_type: PredictionType = self.scheduler.config.prediction_type
        self.resolution: int = self.vae.config.sample_size
        self.size_multiple = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.token_budget = self.tokenizer.model_max_length - 2
        self.token_width: int = self.text_encoder.config.hidden_size

    def timesteps(self, steps: int) -> list[int]:
        """Descending timesteps, in the scheduler's own spacing."""
        self.scheduler.set_timesteps(steps)
        return [int(t) for t in self.scheduler.timesteps]

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] to [n, 8, h / 8, w / 8]: the posterior's mean, scaled."""
        mean = self.vae.encode(images.to(self.device)).latent_dist.mean
        return mean * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """[n, 8, h, w] to [n, 3, 8 h, 8 w] in about [-1, 1]."""
        return self.vae.decode(latents / self.vae.config.scaling_factor).sample

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens, not counting start and end."""
        return len(self.tokenizer.tokenize(prompt))

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, 40, 160]; prompts that are too long are cut at the end."""
        words = [
            self.tokenizer.encode(p, add_special_tokens=False)[: self.token_budget] for p in prompts
        ]
        hidden = self._hidden(words, None)
        return Conditioning(hidden, reencode=lambda v: Conditioning(self._hidden(words, v)))

    def _hidden(self, words: list[list[int]], values: Tensor | None) -> Tensor:
        """Hidden states of the prompts, with ``values`` [n, k, 160] embedded after the words."""
        count = 0 if values is None else values.shape[1]
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        length = self.tokenizer.model_max_length
        rows = [[start, *w[: length - 2 - count], *[end] * count, end] for w in words]
        places = [len(row) - 1 - count for row in rows]
        rows = [row + [self.tokenizer.pad_token_id] * (length - len(row)) for row in rows]
        ids = torch.tensor(rows, device=self.device)
        if values is None:
            return self.text_encoder(input_ids=ids).last_hidden_state

        def place_values(_module: object, _inputs: object, embedded: Tensor) -> Tensor:
            at = torch.tensor(places, device=self.device)[:, None] + torch.arange(
                count, device=self.device
            )
            index = at[:, :, None].expand(-1, -1, embedded.shape[-1])
            return embedded.scatter(1, index, values.to(embedded))

        hook = self.text_encoder.get_input_embeddings().register_forward_hook(place_values)
        try:
            return self.text_encoder(input_ids=ids).last_hidden_state
        finally:
            hook.remove()

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The velocity [n, 8, h, w]."""
        return self.unet(noisy, timesteps, encoder_hidden_states=conditioning.prompt_embeds).sample

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """The text tower's projection: [n, 160] to [n, 128]."""
        return self.text_encoder.text_projection(tokens)
