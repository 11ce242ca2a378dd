"""Builds the tokenizer: byte-pair encoding learned on the world's captions, in CLIP's format."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from diffinv_diorama.captions import caption
from diffinv_diorama.world import random_scene

MAX_LENGTH = 40
VOCABULARY = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    rng = np.random.default_rng(0)
    texts = [caption(random_scene(rng), rng) for _ in range(20_000)]
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        end_of_word_suffix="</w>",
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789,.-'!"),
    )
    bpe.train_from_iterator(texts, trainer)
    model = json.loads(bpe.to_str())["model"]
    vocab = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    for piece in list("abcdefghijklmnopqrstuvwxyz0123456789,.-'!"):
        for form in (piece, piece + "</w>"):
            vocab.setdefault(form, len(vocab))
    for special in ("<|startoftext|>", "<|endoftext|>"):
        vocab[special] = len(vocab)
    merges = [tuple(pair) for pair in model["merges"]]
    tokenizer = CLIPTokenizer(
        vocab=vocab, merges=merges, model_max_length=MAX_LENGTH, unk_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(out)
    lengths = [len(tokenizer(t).input_ids) for t in texts[:2000]]
    print(f"{len(vocab)} entries, captions take {min(lengths)} to {max(lengths)} tokens")
    print(tokenizer.tokenize(texts[0]))


if __name__ == "__main__":
    main()
