"""What all flow models have in common: a transformer, an autoencoder, a scheduler of a flow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diffinv.contracts import PredictionType, RectifiedFlow
from diffinv.system.memory import use_tiles
from diffinv.system.weights import weights_id

from .checkpoints import Checkpoint, Family
from .loading import dtype_on, network, scheduler, shift_of, sigmas
from .memory import choose_memory
from .placing import Places

_USUAL_STEPS = 50
"""As many as diffusers' pipelines take: the run whose shift random timesteps are drawn with."""


class Flow:
    """See :class:`diffinv.contracts.Backbone`. A checkpoint's transformer is in float32 on a CPU
    and else in bfloat16, its autoencoder in float32; with low memory one part at a time is on the
    GPU. Text encoders are the subclasses'."""

    family: Family
    transformer_class: Any
    vae_class: Any
    joint_space: str | None = None
    prediction_type: PredictionType = "flow"

    def __init__(self, found: Checkpoint, device: torch.device) -> None:
        choice = choose_memory(found, str(device))
        choice.check(found.name, str(device))
        self.id, self.device, self.dtype = self.family.id, device, dtype_on(device)
        self.weights_id = weights_id(found.all_files)
        self.places = Places(device, alone=choice.low and device.type != "cpu")
        self.transformer = self._take(self.transformer_class, found, "transformer", self.dtype)
        self.vae = self._take(self.vae_class, found, "vae", torch.float32)
        if choice.low:
            self.transformer.enable_gradient_checkpointing()
            use_tiles(self.vae, found.size_multiple // 2)
        self.scheduler = scheduler(found.folder)
        self.size_multiple = found.size_multiple
        self.resolution: int = self.vae.config.sample_size
        self.schedule = RectifiedFlow(shift_of(self.scheduler, self.log_shift(_USUAL_STEPS)))

    def _take(self, kind: Any, found: Checkpoint, part: str, dtype: torch.dtype) -> Any:
        """A part of the checkpoint, where it is while it has nothing to do."""
        return self.places.take(network(kind, found, part, dtype))

    @property
    def patches(self) -> int:
        """How many patches a picture of the model's resolution has."""
        return int((self.resolution // self.size_multiple) ** 2)

    def log_shift(self, steps: int) -> float:
        """The shift's logarithm, mu, for so many steps and pictures of this resolution: linear in
        the number of patches, whatever the steps."""
        config = self.scheduler.config
        first, last = config.base_image_seq_len, config.max_image_seq_len
        slope = (config.max_shift - config.base_shift) / (last - first)
        return float(config.base_shift + slope * (self.patches - first))

    def timesteps(self, steps: int) -> list[float]:
        """Shares of noise from 1 down, as the checkpoint's own scheduler spaces them."""
        return sigmas(self.scheduler, steps, self.log_shift(steps))

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] to [n, 16, h / 8, w / 8]: the posterior's mean, scaled."""
        vae = self.places.bring(self.vae)
        mean = vae.encode(images.to(self.device, torch.float32)).latent_dist.mean
        return (mean - vae.config.shift_factor) * vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures in about [-1, 1], in float32."""
        vae = self.places.bring(self.vae)
        scaled = latents.float() / vae.config.scaling_factor + vae.config.shift_factor
        return vae.decode(scaled).sample
