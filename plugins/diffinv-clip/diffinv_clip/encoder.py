"""E_I and E_T from open_clip, and its words for hard prompts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from functools import cached_property

import torch
from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor, nn

from diffinv.errors import DiffinvError

from .network import build, space_of
from .short_texts import encode, places, shortened
from .sources import FAMILIES, Family, Source, find_source

_WORDS, _WORDS_ON_CPU = 3_000, 300
_SPECIAL = re.compile(r"<start_of_text>|<end_of_text>", re.IGNORECASE)


def load(weights: str | None, device: str) -> OpenClip:
    """Any open_clip model: see :mod:`diffinv_clip.sources`."""
    return OpenClip("open-clip", find_source(weights), torch.device(device))


def load_l14(weights: str | None, device: str) -> OpenClip:
    """ViT-L-14 with OpenAI's GELU."""
    return _bound("open-clip-l14", FAMILIES[0], weights, device)


def load_h14(weights: str | None, device: str) -> OpenClip:
    """ViT-H-14."""
    return _bound("open-clip-h14", FAMILIES[1], weights, device)


def load_bigg14(weights: str | None, device: str) -> OpenClip:
    """ViT-bigG-14."""
    return _bound("open-clip-bigg14", FAMILIES[2], weights, device)


def _bound(id: str, family: Family, weights: str | None, device: str) -> OpenClip:
    source = find_source(weights, family.builtin)
    space = space_of(source.model)
    if space != family.space:
        raise DiffinvError(
            f"{id!r} is the encoder of the joint space {family.space!r}, but {weights!r} is a "
            f"model of {space!r}; use it as --delta-encoder open-clip={weights}."
        )
    return OpenClip(id, source, torch.device(device))


class OpenClip:
    """See :class:`diffinv.contracts.DeltaEncoder` and
    :class:`diffinv.method.prompts.HardPromptEncoder`. Runs in float32."""

    def __init__(self, id: str, source: Source, device: torch.device) -> None:
        self.id = id
        self.space = space_of(source.model)
        self.device = device
        self.model = build(source, device)
        text = source.model["text_cfg"]
        self.context_length: int = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
        self.tokenizer = SimpleTokenizer(context_length=self.context_length)
        size = self.model.visual.image_size
        known = {k: v for k, v in source.preprocess.items() if k in PreprocessCfg.__annotations__}
        self.preprocess = image_transform_v2(PreprocessCfg(**{**known, "size": size}), False)
        if self.embedding.num_embeddings < self.tokenizer.vocab_size:
            raise DiffinvError(
                f"{str(source.checkpoint)!r} has {self.embedding.num_embeddings} words, fewer than "
                f"the {self.tokenizer.vocab_size} of CLIP's tokenizer."
            )

    @property
    def text_projection(self) -> Tensor | None:
        """The text tower's own, [width, d]; None if it is no plain matrix."""
        found = getattr(getattr(self.model, "text", self.model), "text_projection", None)
        if isinstance(found, nn.Linear):
            return found.weight.T if found.bias is None else None
        return found if isinstance(found, Tensor) else None

    @property
    def embedding(self) -> nn.Embedding:
        """The table of word embeddings."""
        table: nn.Embedding = getattr(self.model, "text", self.model).token_embedding
        return table

    @torch.no_grad()
    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """E_I: [n, d]."""
        pixels = torch.stack([self.preprocess(image.convert("RGB")) for image in images])
        return self.model.encode_image(pixels.to(self.device)).float()

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """E_T: [n, d]; texts that are too long are cut at the end."""
        plain = [_SPECIAL.sub(" ", text) for text in texts]
        return encode(self.model, self.tokenizer(plain).to(self.device)).float()

    @cached_property
    def token_table(self) -> Tensor:
        """Word embeddings that a hard prompt may use: [v, w], rows as in ``token_ids``."""
        return self.embedding.weight[self.token_ids].detach()

    @cached_property
    def token_ids(self) -> Tensor:
        """Ids [v] of the words whose text gives the same id again: 34,277 of the 49,408.

        Word fragments and broken characters are left out, since a prompt's text would not give
        them back: a hard prompt's text and its ids thus stand for each other.
        """
        table = self.tokenizer.encoder.items()
        whole = [i for piece, i in table if piece.endswith("</w>")]
        kept = [i for i in whole if self.tokenizer.encode(self.tokenizer.decode([i])) == [i]]
        return torch.tensor(sorted(kept), device=self.device)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Its whole words of three letters and more, the most common first: the tokenizer's pieces
        were found in the order of their frequency. Few on the CPU, where ViT-H takes a twentieth of
        a second for each."""
        count = _WORDS_ON_CPU if self.device.type == "cpu" else _WORDS
        texts = (self.tokenizer.decode([i]).strip() for i in self.token_ids.tolist())
        words = (text for text in texts if len(text) > 2 and text.isascii() and text.isalpha())
        return tuple(itertools.islice(dict.fromkeys(words), count))

    def encode_embeddings(self, embeddings: Tensor) -> Tensor:
        """Word embeddings [n, k, w] through the text tower: [n, d], differentiable."""
        count = embeddings.shape[1]
        if count > self.context_length - 2:
            raise ValueError(f"{count} words are more than the {self.context_length - 2} it reads")
        length = places(self.model, count + 2, self.context_length)
        ids = torch.zeros(len(embeddings), length, dtype=torch.long)
        ids[:, 0] = self.tokenizer.sot_token_id
        ids[:, 1 + count] = self.tokenizer.eot_token_id

        def place(_module: object, _inputs: object, embedded: Tensor) -> Tensor:
            parts = [embedded[:, :1], embeddings.to(embedded), embedded[:, 1 + count :]]
            return torch.cat(parts, dim=1)

        hook = self.embedding.register_forward_hook(place)
        try:
            with shortened(self.model, length):
                return self.model.encode_text(ids.to(self.device)).float()
        finally:
            hook.remove()

    def text_of(self, ids: Tensor) -> str:
        """The words of token ids [k]."""
        return self.tokenizer.decode(ids.tolist()).strip()

    def ids_of(self, text: str) -> list[int]:
        """The token ids of a text, without start and end."""
        return list(self.tokenizer.encode(text))
