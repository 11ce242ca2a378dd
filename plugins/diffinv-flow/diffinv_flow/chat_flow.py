"""Flow models whose prompts are read by a chat model."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import AutoModel

from diffinv.errors import DiffinvError

from .checkpoints import Checkpoint
from .flow import Flow
from .loading import tokenizer
from .prompts import ChatPrompts


class ChatFlow(Flow):
    """With a chat model, which shares no space with pictures, so that differences are learned by
    token consistency alone."""

    thinking: bool

    def __init__(self, found: Checkpoint, device: torch.device) -> None:
        super().__init__(found, device)
        self.text_encoder = self._take(AutoModel, found, "text_encoder", self.dtype)
        self.prompts = ChatPrompts(tokenizer(found.folder), self.thinking)
        self.token_width: int = self.text_encoder.config.hidden_size
        self.token_budget = self.prompts.budget

    def count_tokens(self, prompt: str) -> int:
        """A prompt's tokens without those of the chat template."""
        return self.prompts.count(prompt)

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """There is no joint space."""
        raise DiffinvError(f"The words of {self.family.title} share no space with pictures.")
