"""The parts of the odd plugin: those of the toy, and a fault each."""

import torch
from toy_model import Toy, ToyCaptioner, ToyEncoder

from diffinv.contracts import Conditioning

CAPTIONS = {
    "none": None,
    "number": 5,
    "text": "a picture",
    "many": ["one", "two", "three", "four"],
    "bytes": [b"one", b"two"],
    "empty": ["one", " \n"],
}
TENSORS = {
    "none": lambda _right: None,
    "rows": lambda right: right[:-1],
    "flat": lambda right: right.flatten(),
    "nan": lambda right: right * torch.nan,
    "narrow": lambda right: right[:, :-1],
}


class OddCaptioner(ToyCaptioner):
    id = "odd"

    def __init__(self, weights, device):
        self.answer = CAPTIONS[weights]

    def caption(self, images):
        answer = self.answer
        few = isinstance(answer, list) and len(answer) == 2
        return answer[-len(images) :] if few else answer


class OddEncoder(ToyEncoder):
    id = "odd"

    def __init__(self, weights, device):
        side, _, fault = weights.partition("-")
        self.sides, self.fault = side.split("+"), TENSORS[fault]

    def encode_images(self, images):
        right = super().encode_images(images)
        return self.fault(right) if "images" in self.sides else right

    def encode_texts(self, texts):
        right = super().encode_texts(texts)
        return self.fault(right) if "texts" in self.sides else right


class OddBackbone(Toy):
    id = "odd"

    def __init__(self, weights, device):
        super().__init__(None, device)
        self.side, _, fault = weights.partition("-")
        self.fault = TENSORS.get(fault)

    def encode_images(self, images):
        right = super().encode_images(images)
        return self.fault(right) if self.side == "images" else right

    def encode_prompts(self, prompts):
        right = super().encode_prompts(prompts)
        if self.side != "prompts":
            return right
        return Conditioning(self.fault(right.prompt_embeds))

    def predict(self, noisy, timesteps, conditioning):
        right = super().predict(noisy, timesteps, conditioning)
        return self.fault(right) if self.side == "predict" else right

    def decode(self, latents):
        right = super().decode(latents)
        return self.fault(right) if self.side == "decode" else right
