"""The backbone: pixels are its latents, a hash its text encoder, two convolutions its denoiser."""

import hashlib
import zlib

import torch
from safetensors.torch import load_file
from torch import nn

from diffinv.contracts import Conditioning, VariancePreserving

WIDTH, WORDS, JOINT = 16, 32, 8  # of a token, in a prompt, of the joint space


def embed(text: str) -> torch.Tensor:
    """[WORDS + 2, WIDTH]: a start token, a row per word (the same for the same word), padding."""
    seeds = [torch.Generator().manual_seed(zlib.crc32(w.encode())) for w in text.split()[:WORDS]]
    rows = [torch.zeros(WIDTH), *(torch.randn(WIDTH, generator=seed) for seed in seeds)]
    return torch.stack(rows + [torch.ones(WIDTH)] * (WORDS + 2 - len(rows)))


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.time = nn.Linear(WIDTH, 24), nn.Linear(1, 24)
        self.first, self.last = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 3, 3, padding=1)
        self.projection = nn.Linear(WIDTH, JOINT, bias=False)

    def forward(self, noisy, timesteps, words):
        shift = self.words(words).tanh().mean(1) + self.time(timesteps[:, None] / 1000)
        return self.last(nn.functional.silu(self.first(noisy) + shift[:, :, None, None]))


class Model:
    """``weights`` is what follows ``template=`` on the command line, or None."""

    id, joint_space, prediction_type = "template", "template", "epsilon"
    resolution, token_budget, token_width = 32, WORDS, WIDTH
    size_multiple = None  # squares of 32 pixels alone

    def __init__(self, weights: str | None, device: str):
        self.device = torch.device(device)
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.denoiser = Denoiser().to(device).eval().requires_grad_(False)
        if weights:
            self.denoiser.load_state_dict(load_file(weights))
        state = self.denoiser.state_dict().values()
        numbers = b"".join(value.cpu().numpy().tobytes() for value in state)
        self.weights_id = hashlib.sha256(numbers).hexdigest()
        alphas_cumprod = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0).to(device)
        self.schedule = VariancePreserving(alphas_cumprod)

    def timesteps(self, steps):
        return [int(t) for t in torch.linspace(999, 0, steps)]

    def encode_images(self, images):
        return images.to(self.device)

    def decode(self, latents):
        return latents

    def encode_prompts(self, prompts):
        return Conditioning(torch.stack([embed(prompt) for prompt in prompts]).to(self.device))

    def count_tokens(self, prompt):
        return len(prompt.split())

    def predict(self, noisy, timesteps, conditioning):
        return self.denoiser(noisy, timesteps, conditioning.prompt_embeds)

    def project_tokens(self, tokens):
        return self.denoiser.projection(tokens)
