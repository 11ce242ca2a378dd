"""Turns prompts, with or without word embeddings after them, into what the denoiser attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from .parts import TextModel

_PLACEHOLDER = 0
"""The id in place of DIFF tokens: not an end token, since those locate the pooled output."""


@dataclass
class Tower:
    """A text encoder with its tokenizer.

    ``penultimate`` takes the hidden states before the last layer, without the final layer norm
    (SDXL); otherwise the last ones with it. With ``leave``, the encoder is moved to ``device`` for
    each call only, until tokens are learned in its input space: then it stays.
    """

    tokenizer: CLIPTokenizer
    model: TextModel
    device: torch.device
    penultimate: bool
    leave: bool

    @property
    def width(self) -> int:
        """The width of its vectors."""
        return int(self.model.config.hidden_size)

    @property
    def pooled_width(self) -> int:
        """The width of its pooled output, if it has a projection."""
        return int(self.model.config.projection_dim)

    @property
    def length(self) -> int:
        """How many tokens it reads, including start and end; some tokenizers do not say."""
        places = int(self.model.config.max_position_embeddings)
        return min(self.tokenizer.model_max_length, places)

    def words(self, prompt: str) -> list[int]:
        """The ids of a prompt, without start and end, and without a warning about too many."""
        ids: list[int] = self.tokenizer.encode(prompt, add_special_tokens=False, verbose=False)
        return ids

    def encode(self, prompts: Sequence[str], values: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Hidden states [n, length, width] and, if the encoder has a projection, the pooled output
        [n, d], in float32; ``values`` [n, k, width] are embedded after the prompts' words."""
        count = 0 if values is None else values.shape[1]
        ids, places = self._ids(prompts, count)
        self.model.to(self.device)
        if values is not None and values.requires_grad:
            self.leave = False  # the backward pass needs its weights in place
        hook = None
        if values is not None:
            hook = self.model.get_input_embeddings().register_forward_hook(
                lambda _module, _inputs, embedded: _place(embedded, values, places)
            )
        try:
            output = self.model(input_ids=ids, output_hidden_states=self.penultimate)
        finally:
            if hook:
                hook.remove()
            if self.leave:
                self.model.to("cpu")
        hidden = output.hidden_states[-2] if self.penultimate else output.last_hidden_state
        pooled = getattr(output, "text_embeds", None)
        return hidden.float(), None if pooled is None else pooled.float()

    def _ids(self, prompts: Sequence[str], count: int) -> tuple[Tensor, Tensor]:
        """Padded ids [n, length] with ``count`` placeholders, and the places [n, count]."""
        tokenizer, length = self.tokenizer, self.length
        start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        pad = end if pad is None else pad
        rows, places = [], []
        for prompt in prompts:
            words = self.words(prompt)[: length - 2 - count]
            row = [start, *words, *[_PLACEHOLDER] * count, end]
            places.append(range(1 + len(words), 1 + len(words) + count))
            rows.append(row + [pad] * (length - len(row)))
        at = torch.tensor([list(p) for p in places], dtype=torch.long, device=self.device)
        return torch.tensor(rows, device=self.device), at


def _place(embedded: Tensor, values: Tensor, places: Tensor) -> Tensor:
    index = places[:, :, None].expand(-1, -1, embedded.shape[-1])
    return embedded.scatter(1, index, values.to(embedded))
