"""What flow models have in common whose prompts are read by a chat model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoModel

from diffinv.contracts import PredictionType, RectifiedFlow
from diffinv.errors import DiffinvError
from diffinv.system.memory import use_tiles
from diffinv.system.weights import weights_id

from .checkpoints import Checkpoint, Family
from .loading import dtype_on, network, scheduler, shift_of, sigmas, tokenizer
from .memory import choose_memory
from .placing import Places
from .prompts import ChatPrompts

_USUAL_STEPS = 50
"""As many as diffusers' pipelines take: the run whose shift random timesteps are drawn with."""


class ChatFlow:
    """A checkpoint's parts: the transformer in float32 on a CPU and else in bfloat16, the
    autoencoder in float32. With low memory one at a time is on the GPU. The chat model shares no
    space with pictures, so differences are learned by token consistency alone."""

    family: Family
    transformer_class: Any
    vae_class: Any
    thinking: bool
    joint_space = None
    prediction_type: PredictionType = "flow"

    def __init__(self, found: Checkpoint, device: torch.device) -> None:
        choice = choose_memory(found, str(device))
        choice.check(found.name, str(device))
        self.id, self.device, dtype = self.family.id, device, dtype_on(device)
        self.weights_id = weights_id(found.all_files)
        self.places = Places(device, alone=choice.low and device.type != "cpu")
        take = self.places.take
        self.transformer = take(network(self.transformer_class, found, "transformer", dtype))
        self.vae = take(network(self.vae_class, found, "vae", torch.float32))
        self.text_encoder = take(network(AutoModel, found, "text_encoder", dtype))
        if choice.low:
            self.transformer.enable_gradient_checkpointing()
            use_tiles(self.vae, found.size_multiple // 2)
        self.prompts = ChatPrompts(tokenizer(found.folder), self.thinking)
        self.scheduler = scheduler(found.folder)
        self.size_multiple = found.size_multiple
        self.resolution: int = self.vae.config.sample_size
        self.token_width: int = self.text_encoder.config.hidden_size
        self.token_budget = self.prompts.budget
        self.schedule = RectifiedFlow(shift_of(self.scheduler, self.log_shift(_USUAL_STEPS)))

    @property
    def patches(self) -> int:
        """How many patches a picture of the model's resolution has."""
        return int((self.resolution // self.size_multiple) ** 2)

    def log_shift(self, steps: int) -> float:
        """The shift's logarithm, mu, for so many steps and pictures of this resolution."""
        raise NotImplementedError

    def timesteps(self, steps: int) -> list[float]:
        """Shares of noise from 1 down, as the checkpoint's own scheduler spaces them."""
        return sigmas(self.scheduler, steps, self.log_shift(steps))

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens without those of the chat template."""
        return self.prompts.count(prompt)

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """There is no joint space."""
        raise DiffinvError(f"The words of {self.family.title} share no space with pictures.")
