"""Which of several wordings of a prompt says to the denoiser what the difference says.

The joint space hardly minds where in a prompt a word stands, and the search in it then writes
"a church with castle sails"; the denoiser minds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contracts import Backbone, Conditioning, DiffTokens
from . import answers
from .editors import noise_like_each
from .sampling import add_noise
from .words import Wording

if TYPE_CHECKING:
    from PIL.Image import Image

_SHARE = 0.55
"""How far B is noised: layout and objects are still open there."""

_NOISE_SEED = 7907

_AT_ONCE = 2
"""Predictions made together: as many as guidance takes for one picture."""


@torch.no_grad()
def choose_wordings(
    backbone: Backbone,
    images: Sequence[Image],
    prompts: Sequence[str],
    differences: Sequence[tuple[DiffTokens, float]],
    candidates: Sequence[Sequence[Wording]],
) -> list[Wording]:
    """For each B, RGB and of the backbone's size, the wording of its prompt that moves the
    denoiser most nearly as the differences do:

        argmax cos(pred(new words) - pred(prompt_B), pred({prompt_B, D}) - pred(prompt_B))

    The tokens have one row for each B, or one for all. Without any, the nearest wording is taken.
    The choice does not depend on how strong the differences are together, nor on the other
    pictures.
    """
    rows = zip(images, prompts, candidates, strict=True)
    return [
        found[0]
        if len(found) == 1 or not differences
        else _choose(backbone, image, prompt, _of_row(differences, i), found)
        for i, (image, prompt, found) in enumerate(rows)
    ]


def _choose(
    backbone: Backbone,
    image: Image,
    prompt: str,
    differences: Sequence[tuple[DiffTokens, float]],
    candidates: Sequence[Wording],
) -> Wording:
    latents = answers.latents(backbone, [image])
    source = answers.conditioning(backbone, [prompt])
    target = source
    for tokens, strength in differences:
        target = target.extend(tokens, strength)
    texts = answers.conditioning(backbone, [wording.prompt for wording in candidates])
    parts = [texts[i : i + _AT_ONCE] for i in range(0, len(texts), _AT_ONCE)]
    plain, moved, *found = (_prediction(backbone, latents, c) for c in (source, target, *parts))
    alike = F.cosine_similarity(torch.cat(found) - plain, moved - plain)
    return candidates[int(alike.argmax())]


def _prediction(backbone: Backbone, latents: Tensor, conditioning: Conditioning) -> Tensor:
    """What the denoiser makes of B's noised latents [1, c, h, w]: one row [c * h * w] for each
    prompt."""
    count = len(conditioning)
    timesteps = torch.full((count,), backbone.schedule.timestep(_SHARE), device=latents.device)
    noise = noise_like_each(latents, _NOISE_SEED)
    noisy = add_noise(latents, noise, backbone.schedule.at(timesteps[:1]))
    many = noisy.expand(count, -1, -1, -1)
    return answers.prediction(backbone, many, timesteps, conditioning).flatten(1).float()


def _of_row(
    differences: Sequence[tuple[DiffTokens, float]], row: int
) -> list[tuple[DiffTokens, float]]:
    """The differences for one B, the strongest at full strength."""
    most = max((abs(strength) for _, strength in differences), default=0.0) or 1.0
    return [
        (tokens[row : row + 1] if len(tokens.values) > 1 else tokens, strength / most)
        for tokens, strength in differences
    ]
