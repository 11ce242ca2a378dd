"""What a delta encoder promises: see :class:`diffinv.contracts.DeltaEncoder`."""

from __future__ import annotations

import torch

from ..contracts import DeltaEncoder
from ..errors import UsageError
from ..method.answers import words
from ..method.deltas import reads_texts
from ..method.prompts import HardPromptEncoder
from .kit import BrokenPromiseError, Check, require
from .tensors import check_detached, check_same, check_tensor, distance, example_images

_TEXTS = ("a red house by the sea", "two dogs")
_ROWS = 1e-3


def it_names_its_space(encoder: DeltaEncoder) -> str:
    """id and space are texts."""
    for name in ("id", "space"):
        value = getattr(encoder, name)
        require(isinstance(value, str) and bool(value), f"{name} is {value!r}, not a text")
    return encoder.space


def pictures_become_vectors(encoder: DeltaEncoder) -> str:
    """encode_images gives [n, d] float32 without a gradient, the same every time, row by row."""
    images = example_images(96)
    found = check_tensor(encoder.encode_images(images), "the result", (2, None))
    check_detached(found, "the result")
    check_same(found, encoder.encode_images(images), "encoding twice gives two results")
    require(distance(found[0], found[1]) > 0, "two pictures have the same vector")
    alone = encoder.encode_images(images[:1])
    check_same(found[:1], alone, "a picture alone has a different vector", _ROWS)
    return f"{found.shape[1]} wide"


_NO_TEXTS = "reads no texts"


def texts_become_vectors(encoder: DeltaEncoder) -> str:
    """encode_texts gives [n, d] float32 without a gradient, the same every time, row by row. Or it
    raises UsageError, if the encoder says that it reads no texts."""
    if not reads_texts(encoder):
        try:
            encoder.encode_texts(list(_TEXTS))
        except UsageError:
            return _NO_TEXTS
        raise BrokenPromiseError("it says that it reads no texts, and does")
    found = check_tensor(encoder.encode_texts(list(_TEXTS)), "the result", (2, None))
    check_detached(found, "the result")
    check_same(found, encoder.encode_texts(list(_TEXTS)), "encoding twice gives two results")
    require(distance(found[0], found[1]) > 0, "two texts have the same vector")
    alone = encoder.encode_texts([_TEXTS[0]])
    check_same(found[:1], alone, "a text alone has a different vector", _ROWS)
    return ""


def both_share_one_space(encoder: DeltaEncoder) -> str:
    """Pictures and texts have vectors of the same width."""
    if not reads_texts(encoder):
        return _NO_TEXTS
    widths = [
        encoder.encode_images(example_images(96)).shape[1],
        encoder.encode_texts(list(_TEXTS)).shape[1],
    ]
    require(widths[0] == widths[1], f"pictures are {widths[0]} wide and texts {widths[1]}")
    return ""


def any_text_is_taken(encoder: DeltaEncoder) -> str:
    """Texts that are empty, far too long or full of odd characters have vectors."""
    if not reads_texts(encoder):
        return _NO_TEXTS
    texts = ["", "word " * 500, "日本 😀 \u202e <|endoftext|> \x00"]
    check_tensor(encoder.encode_texts(texts), "the result", (3, None))
    return ""


def its_words_are_words(encoder: DeltaEncoder) -> str:
    """If it has a vocabulary, that is a list or tuple of words, which have vectors."""
    if not reads_texts(encoder) or not (known := words(encoder)):
        return "not offered"
    check_tensor(encoder.encode_texts(list(known[:16])), "the result", (len(known[:16]), None))
    return f"{len(known):,} words"


def hard_prompts_work_if_offered(encoder: DeltaEncoder) -> str:
    """If it offers words for PEZ, they are embeddings that a gradient reaches."""
    if not isinstance(encoder, HardPromptEncoder):
        return "not offered"
    table = check_tensor(encoder.token_table, "token_table", (None, None))
    ids = encoder.token_ids
    require(ids.shape == table.shape[:1], "token_ids and token_table have different lengths")
    words = table[: min(4, len(table))][None].clone().requires_grad_()
    found = encoder.encode_embeddings(words)
    width = encoder.encode_texts(list(_TEXTS)).shape[1]
    check_tensor(found.detach(), "encode_embeddings", (1, width))
    (gradient,) = torch.autograd.grad(found.square().sum(), words)
    require(bool((gradient != 0).any()), "no gradient reaches the embeddings")
    some = ids[: min(4, len(ids))]
    text = encoder.text_of(some)
    require(encoder.ids_of(text) == some.tolist(), f"{text!r} has other ids than it was made from")
    return f"{len(table)} words"


CHECKS: list[Check] = [
    it_names_its_space,
    pictures_become_vectors,
    texts_become_vectors,
    both_share_one_space,
    any_text_is_taken,
    its_words_are_words,
    hard_prompts_work_if_offered,
]
