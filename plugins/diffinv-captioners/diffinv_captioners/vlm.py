"""Any image-text-to-text model in transformers that takes part in a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from diffinv.errors import DiffinvError, UsageError

from .answers import PROMPT, clean
from .local import answer, load_model, load_processor, model_folder, model_type


def load(weights: str | None, device: str) -> VlmCaptioner:
    """A model from a folder, or from a hub id fetched before; it has to be named."""
    if weights is None:
        raise UsageError("The captioner 'vlm' needs a model: --captioner vlm=FOLDER_OR_HUB_ID.")
    return VlmCaptioner(weights, torch.device(device))


class VlmCaptioner:
    """See :class:`diffinv.contracts.Captioner`. One picture at a time."""

    id = "vlm"

    def __init__(self, weights: str, device: torch.device) -> None:
        folder = model_folder(weights)
        kind = model_type(folder)
        self.processor = load_processor(AutoProcessor, folder)
        if not getattr(self.processor, "chat_template", None):
            other = f"; try blip2={weights}" if kind == "blip-2" else ""
            raise DiffinvError(f"{weights!r} ({kind}) cannot be asked about a picture{other}.")
        try:
            self.model = load_model(AutoModelForImageTextToText, folder, device)
        except ValueError as error:
            raise DiffinvError(f"{weights!r} ({kind}) does not read pictures.") from error
        self.name = folder.name

    def caption(self, images: Sequence[Image.Image]) -> list[str]:
        """One sentence per picture."""
        return [self._caption(image.convert("RGB")) for image in images]

    def _caption(self, image: Image.Image) -> str:
        said, cut = self._answer([image, PROMPT])
        return clean(said, f"The model {self.name!r}", cut)

    def ask(self, content: Sequence[str | Image.Image]) -> str:
        """The model's answer: greedy, so always the same."""
        return self._answer(content)[0]

    def _answer(self, content: Sequence[str | Image.Image]) -> tuple[str, bool]:
        """What it says, and whether it was cut off before the end."""
        inputs = self.processor.apply_chat_template(
            [{"role": "user", "content": [_part(one) for one in content]}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        return answer(self.model, self.processor.tokenizer, inputs)


def _part(one: str | Image.Image) -> dict[str, Any]:
    if isinstance(one, str):
        return {"type": "text", "text": one}
    return {"type": "image", "image": one.convert("RGB")}
