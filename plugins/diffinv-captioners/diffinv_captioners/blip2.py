"""BLIP-2, the paper's captioner."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from diffinv.errors import DiffinvError

from .answers import clean
from .local import answer, load_model, load_processor, model_folder, model_type
from .plugin import BLIP2

_PROMPT = "a photo of"


def load(weights: str | None, device: str) -> Blip2Captioner:
    """BLIP-2 from a folder, or from a hub id fetched before."""
    return Blip2Captioner(weights or BLIP2, torch.device(device))


class Blip2Captioner:
    """See :class:`diffinv.contracts.Captioner`. One picture at a time, so that the rest of a batch
    changes nothing."""

    id = "blip2"

    def __init__(self, weights: str, device: torch.device) -> None:
        folder = model_folder(weights)
        kind = model_type(folder)
        if kind != "blip-2":
            raise DiffinvError(f"{weights!r} is a {kind} model, not BLIP-2; try vlm={weights}.")
        self.processor = load_processor(Blip2Processor, folder)
        self.model = load_model(Blip2ForConditionalGeneration, folder, device)
        if self.processor.num_query_tokens is None:
            self.processor.num_query_tokens = self.model.config.num_query_tokens

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """One sentence per picture."""
        return [self._caption(image.convert("RGB")) for image in images]

    def _caption(self, image: Image.Image) -> str:
        inputs = self.processor(images=image, text=_PROMPT, return_tensors="pt")
        said, cut = answer(self.model, self.processor.tokenizer, inputs)
        return clean(said, "BLIP-2", cut)
