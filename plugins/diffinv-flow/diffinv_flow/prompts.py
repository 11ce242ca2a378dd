"""Prompts as a chat model reads them: a template's tokens, the prompt's own, and the template's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MAX_TOKENS = 512
"""The longest prompt in tokens, its template included, as in diffusers' pipelines."""


class ChatPrompts:
    """A tokenizer with a chat template, which may leave room for the model to think."""

    def __init__(self, tokenizer: Any, thinking: bool) -> None:
        self._tokenizer, self._thinking = tokenizer, thinking
        empty, one = self.ids(""), self.ids("a")
        self.before = next(i for i, x in enumerate(empty) if x != one[i])
        self.after = len(empty) - self.before

    @property
    def budget(self) -> int:
        """How many tokens a prompt may have of its own."""
        return MAX_TOKENS - self.before - self.after

    def ids(self, prompt: str) -> list[int]:
        """A prompt in its template, however long."""
        said = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=self._thinking,
        )
        return list(self._tokenizer(said).input_ids)

    def count(self, prompt: str) -> int:
        """A prompt's own tokens."""
        return len(self.ids(prompt)) - self.before - self.after

    def rows(self, prompts: Sequence[str]) -> list[list[int]]:
        """Prompts in their templates, cut at the end if they are too long."""
        return [self.ids(prompt)[:MAX_TOKENS] for prompt in prompts]

    def filled(
        self, rows: Sequence[Sequence[int]], length: int, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Ids and mask [n, length] of rows, filled up behind."""
        padding = self._tokenizer.pad_token_id
        ids = torch.tensor([[*row, *[padding] * (length - len(row))] for row in rows])
        mask = torch.tensor([[i < len(row) for i in range(length)] for row in rows])
        return ids.to(device), mask.to(device)

    def reach(self, rows: Sequence[Sequence[int]], length: int, device: torch.device) -> Tensor:
        """Which positions [n, length] are the prompts' own; of an empty one all but the first."""
        found = torch.zeros(len(rows), length, dtype=torch.bool)
        for i, row in enumerate(rows):
            last = len(row) - self.after if len(row) < MAX_TOKENS else len(row)
            first, last = (self.before, last) if last > self.before else (1, len(row))
            found[i, first:last] = True
        return found.to(device)
