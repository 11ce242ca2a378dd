"""Times of any backbone's learning step, application and round trip. What is seen means nothing."""

from __future__ import annotations

import torch
from common import paired
from numpy.random import default_rng
from PIL import Image

from diffinv.contracts import Backbone, Conditioning, DiffTokens, Editor
from diffinv.method import answers
from diffinv.method.application import apply_differences, denoise
from diffinv.method.editors import Ddim
from diffinv.method.inversion import Inversion, Pair
from diffinv.method.sampling import add_noise
from diffinv.method.settings import ApplicationSettings, inversion_settings

SPACE = 1280
LONG = 1_000_000
"""Steps of a run that is never finished: candidates are scored from three quarters on."""


class RandomEncoder:
    """Stands in for E_I and E_T, which are not part of a step. Its vectors are ``width`` long."""

    id = "random"

    def __init__(self, space: str, width: int = SPACE) -> None:
        self.space, self._width = space, width
        self._generator = torch.Generator().manual_seed(0)

    def encode_images(self, images: list[Image.Image]) -> torch.Tensor:
        """Other ones at every call."""
        return torch.randn(len(images), self._width, generator=self._generator)

    encode_texts = encode_images


def picture(seed: int, side: int) -> Image.Image:
    """Smooth random colours."""
    rng = default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype="uint8"))
    return small.resize((side, side), Image.Resampling.BICUBIC)


def wait(backbone: Backbone) -> None:
    """Until the GPU has done what it was told."""
    if backbone.device.type == "cuda":
        torch.cuda.synchronize(backbone.device)


def learning(
    backbone: Backbone, count: int, side: int, rounds: int, width: int = SPACE
) -> tuple[float, float, float]:
    """Seconds of a learning step of ``count`` pairs, of the bare denoiser's forward and backward at
    the same batch, and their ratio."""
    encoder = RandomEncoder(backbone.joint_space or "random", width)
    inversion = Inversion(backbone, encoder, _pairs(count, side), inversion_settings(steps=LONG))
    latents = answers.latents(backbone, [picture(0, side)])
    timesteps = backbone.schedule.draw(2 * count, torch.Generator().manual_seed(0))
    timesteps = timesteps.to(backbone.device)
    latents = latents.expand(2 * count, -1, -1, -1)
    noisy = add_noise(latents, torch.randn_like(latents), backbone.schedule.at(timesteps))
    prompts = backbone.encode_prompts(["a house"] * 2 * count)
    embeds = prompts.prompt_embeds.clone().requires_grad_()
    conditioning = Conditioning(embeds, prompts.extra)

    def bare() -> None:
        backbone.predict(noisy, timesteps, conditioning).square().mean().backward()
        embeds.grad = None
        wait(backbone)

    def step() -> None:
        inversion.advance()
        wait(backbone)

    return paired(step, bare, rounds)


def applying(
    backbone: Backbone, editor: Editor, count: int, side: int, settings: ApplicationSettings
) -> None:
    """Apply a difference to ``count`` pictures at once."""
    images = [picture(i, side) for i in range(count)]
    apply_differences(
        backbone, images, ["a house"] * count, [(_tokens(backbone), 1.0)], editor, settings
    )
    wait(backbone)


@torch.no_grad()
def round_trip(backbone: Backbone, side: int, steps: int) -> float:
    """How far DDIM inversion and sampling come back: the root mean square of what is off, beside
    that of the latents."""
    latents = answers.latents(backbone, [picture(0, side)])
    source, empty = (backbone.encode_prompts([text]) for text in ("a house", ""))
    path = Ddim().trajectory(backbone, latents, source, empty, steps, 1.0, 0)
    back = denoise(backbone, path, source, empty, 1.0, None)
    return float((back - latents).square().mean().sqrt() / latents.square().mean().sqrt())


def _tokens(backbone: Backbone) -> DiffTokens:
    values = 0.1 * torch.randn(1, 1, backbone.token_width, device=backbone.device)
    return DiffTokens(values, "additive")


def _pairs(count: int, side: int) -> list[list[Pair]]:
    return [
        [
            Pair(
                picture(i, side),
                picture(i + 1, side),
                "a",
                "b",
                f"a house {i}",
                f"a red house {i}",
            )
        ]
        for i in range(count)
    ]
