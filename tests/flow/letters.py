"""A tokenizer in which every letter is a token, with Qwen's chat template in small."""

from __future__ import annotations

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

LETTERS = ["<pad>", "<unk>", "<user>", "<end>", "<bot>", *map(chr, range(32, 127))]
TEMPLATE = "<user>{% for m in messages %}{{ m['content'] }}{% endfor %}<end><bot>"


def tokenizer():
    """Every letter a token, Qwen's template in small: one token before the prompt, two behind."""
    vocab = {letter: i for i, letter in enumerate(LETTERS)}
    letters = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=LETTERS[2:5],
    )  # fmt: skip
    found.chat_template = TEMPLATE
    return found
