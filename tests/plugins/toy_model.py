"""The parts of the toy plugin. Latents are the pixels, and words are numbers."""

import os

import numpy as np
import torch

from diffinv.contracts import Conditioning, VariancePreserving

WIDTH = 8


def embed(text):
    """One row a word, the same for the same word."""
    rows = [torch.zeros(WIDTH)]
    for word in text.split():
        generator = torch.Generator().manual_seed(sum(map(ord, word)))
        rows.append(torch.randn(WIDTH, generator=generator))
    rows = rows[:8]
    return torch.stack(rows + [torch.zeros(WIDTH)] * (8 - len(rows)))


class Toy:
    id = "toy"
    weights_id = "0" * 64
    resolution = 16
    size_multiple = None
    prediction_type = "epsilon"
    token_budget = 7
    token_width = WIDTH
    joint_space = "toy"

    def __init__(self, weights, device):
        if weights:
            raise OSError(f"{weights} does not exist")
        self.device = torch.device(device)
        self.schedule = VariancePreserving(torch.linspace(0.99, 0.05, 100))

    def timesteps(self, steps):
        return [int(t) for t in np.linspace(99, 0, steps)]

    def encode_images(self, images):
        if len(images) > int(os.environ.get("TOY_ROOM", "1000")):
            raise torch.OutOfMemoryError
        return images

    def decode(self, latents):
        return latents

    def encode_prompts(self, prompts):
        return Conditioning(torch.stack([embed(prompt) for prompt in prompts]))

    def count_tokens(self, prompt):
        return len(prompt.split())

    def predict(self, noisy, timesteps, conditioning):
        learning = conditioning.prompt_embeds.requires_grad
        if learning and len(noisy) > int(os.environ.get("TOY_LEARNING_ROOM", "1000")):
            raise torch.OutOfMemoryError
        colour = conditioning.prompt_embeds.mean(1)[:, :3]
        return 0.1 * noisy + colour[:, :, None, None]

    def project_tokens(self, tokens):
        return tokens


class Another(Toy):
    id = "toy2"


class ToyCaptioner:
    id = "toy"

    def __init__(self, weights, device):
        pass

    def caption(self, images):
        return ["a picture of " + self._colour(image) for image in images]

    def _colour(self, image):
        red, green, blue = np.asarray(image).mean((0, 1))[:3]
        return max((red, "red"), (green, "green"), (blue, "blue"))[1]


class ToyEncoder:
    id = "toy"
    space = "toy"

    def __init__(self, weights, device):
        pass

    def encode_images(self, images):
        colours = [np.asarray(image, dtype=np.float32).mean((0, 1)) / 255 for image in images]
        return torch.nn.functional.pad(torch.tensor(np.stack(colours)), (0, WIDTH - 3))

    def encode_texts(self, texts):
        return torch.stack([embed(text).mean(0) for text in texts])


class Elsewhere(ToyEncoder):
    id = "elsewhere"
    space = "other"
