"""Z-Image: one stream of words and patches, trained by flow matching on straight paths.

Its text encoder is a language model that shares no space with pictures, so differences are learned
by token consistency alone. The pipeline's guidance g is ours minus 1: it adds g (pos - neg) to pos.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from diffinv.contracts import Conditioning, PredictionType, RectifiedFlow
from diffinv.errors import DiffinvError
from diffinv.plugins.checking import describe
from diffinv.system.weights import weights_id

from .folders import find_folder, weight_files

MAX_TOKENS = 512
"""The longest prompt in tokens, its template included, as in diffusers' pipeline."""

_LAYER = -2
"""The hidden states that the transformer reads: those before the last layer."""


def load(weights: str | None, device: str) -> ZImage:
    """A checkpoint from a folder, or from a hub id fetched before: float32 on a CPU, else bf16."""
    folder = find_folder(weights)
    try:
        return ZImage(folder, torch.device(device))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise DiffinvError(
            f"The model in {str(folder)!r} cannot be loaded: {describe(error)}."
        ) from error


class ZImage:
    """See :class:`diffinv.contracts.Backbone`."""

    id = "z-image"
    joint_space = None
    prediction_type: PredictionType = "flow"

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.weights_id = weights_id(weight_files(folder))
        dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
        here: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
        self.transformer = ZImageTransformer2DModel.from_pretrained(
            folder / "transformer", torch_dtype=dtype, **here
        )
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32, **here)
        self.text_encoder = AutoModel.from_pretrained(
            folder / "text_encoder", dtype=dtype, trust_remote_code=False, **here
        )
        for model in (self.transformer, self.vae, self.text_encoder):
            model.to(device).eval().requires_grad_(False)
        self.tokenizer = AutoTokenizer.from_pretrained(
            folder / "tokenizer", local_files_only=True, trust_remote_code=False
        )
        self.scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
        self.resolution: int = self.vae.config.sample_size
        self.size_multiple = 2 ** len(self.vae.config.block_out_channels)
        self.token_width: int = self.text_encoder.config.hidden_size
        self._template = self._around()
        self.token_budget = MAX_TOKENS - sum(self._template)
        self.schedule = RectifiedFlow(shift=self._shift())

    def timesteps(self, steps: int) -> list[float]:
        """The shares of noise from 1 down, shifted as the checkpoint's own scheduler does."""
        even = torch.linspace(1.0, 1 / steps, steps).tolist()
        self.scheduler.set_timesteps(sigmas=even, mu=self._mu())
        return [float(sigma) for sigma in self.scheduler.sigmas[:-1]]

    def _mu(self) -> float:
        """The shift's logarithm for pictures of this resolution, for checkpoints whose scheduler
        makes it depend on the size: linear in the number of patches."""
        config = self.scheduler.config
        patches = (self.resolution // self.size_multiple) ** 2
        first, last = config.base_image_seq_len, config.max_image_seq_len
        slope = (config.max_shift - config.base_shift) / (last - first)
        return float(config.base_shift + slope * (patches - first))

    def _shift(self) -> float:
        """How much the checkpoint's scheduler shifts towards noise."""
        if self.scheduler.config.use_dynamic_shifting:
            return float(torch.tensor(self._mu()).exp())
        return float(self.scheduler.config.shift)

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
        return len(self._ids(prompt)) - sum(self._template)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states [n, length, width], filled up to the longest prompt; those that are too
        long are cut at the end. Additive tokens reach the prompt's own words, not the template's;
        of an empty prompt all but the first."""
        rows = [self._ids(prompt)[:MAX_TOKENS] for prompt in prompts]
        length = max(map(len, rows))
        ids = torch.tensor([r + [self.tokenizer.pad_token_id] * (length - len(r)) for r in rows])
        mask = torch.tensor([[i < len(r) for i in range(length)] for r in rows])
        ids, mask = ids.to(self.device), mask.to(self.device)
        hidden = self.text_encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=True
        ).hidden_states[_LAYER]
        embeds = hidden.float() * mask[:, :, None]
        return Conditioning(embeds, mask=mask, reach=self._reach(rows, length))

    def _reach(self, rows: Sequence[Sequence[int]], length: int) -> Tensor:
        before, after = self._template
        reach = torch.zeros(len(rows), length, dtype=torch.bool, device=self.device)
        for i, row in enumerate(rows):
            last = len(row) - after if len(row) < MAX_TOKENS else len(row)
            first, last = (before, last) if last > before else (1, len(row))
            reach[i, first:last] = True
        return reach

    def _ids(self, prompt: str) -> list[int]:
        said = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=True,
        )
        return list(self.tokenizer(said).input_ids)

    def _around(self) -> tuple[int, int]:
        """How many tokens the chat template puts before and behind a prompt."""
        empty, one = self._ids(""), self._ids("a")
        before = next(i for i, (x, y) in enumerate(zip(empty, one, strict=False)) if x != y)
        return before, len(empty) - before

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
