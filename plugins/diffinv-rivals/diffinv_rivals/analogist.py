"""Analogist (Gu et al., SIGGRAPH 2024): a sheet of A, A', B and a hole, filled in.

Self-attention between A' and B' is made like that between A and B, and words are read only where B'
will be. A vision-language model says what that shows, if the captioner is one that can be asked;
else it is B's caption with the words in which the captions of A and A' differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DDIMScheduler
from PIL import Image
from torch import Tensor

from diffinv.contracts import Network
from diffinv.evaluation.methods import described, word_edit
from diffinv.method.editors import seeded_noise

from .networks import decoded, network, pixels, text_states

if TYPE_CHECKING:
    from diffinv.contracts import Bench, Triplet

QUESTION = (
    "The two pictures above are the same one before (left) and after (right) a change. The picture "
    "at the lower left gets the same change, and belongs at the lower right. Describe the picture "
    "that belongs there in one short sentence, as a caption, and say nothing else."
)

NEGATIVE = "messy, disordered, blurry, deformed, low quality"


def load(bench: Bench, weights: str | None, **settings: Any) -> Analogist:
    """The method on the checkpoint named, or on the backbone's companion."""
    found = Analogist(
        bench, network(bench, "analogist", "inpainting", weights, masks=1), **settings
    )
    found.clone_attention()
    return found


@dataclass(frozen=True)
class Analogist:
    """``cell`` is the side of a picture on the sheet and ``frame`` the white pixels between them.
    ``cloning`` scales what A' and B' attend to of each other in the layers ``first_layer`` to
    ``last_layer`` (of the denoiser's transformer blocks, from 1 up)."""

    bench: Bench
    network: Network
    steps: int = 50
    guidance_scale: float = 15.0
    strength: float = 0.98
    cloning: float = 1.3
    first_layer: int = 3
    last_layer: int = 10
    cell: int = 256
    frame: int = 2
    suffix: str = ", best quality, extremely detailed"
    negative_prompt: str = NEGATIVE

    @torch.no_grad()
    def complete(self, triplet: Triplet, seed: int) -> Image.Image:
        """B', of the side of a cell."""
        found = self.network
        sheet, hole = self._sheet(triplet), self._hole()
        picture = pixels(found, sheet)
        scale = found.vae.config.scaling_factor
        latents, rest = (
            found.vae.encode(x).latent_dist.mode() * scale for x in (picture, picture * (1 - hole))
        )
        mask = hole[:, :, ::8, ::8]
        texts = [self.negative_prompt, self.prompt(triplet) + self.suffix]
        states = text_states(found, texts)
        scheduler = DDIMScheduler.from_config(found.scheduler.config)
        scheduler.set_timesteps(self.steps, device=latents.device)
        timesteps = scheduler.timesteps[self.steps - max(1, int(self.steps * self.strength)) :]
        noise = seeded_noise(latents.shape, seed, latents.device)
        sample = scheduler.add_noise(latents, noise, timesteps[:1])
        for t in timesteps:
            rows = torch.cat([sample, mask, rest], dim=1).expand(2, -1, -1, -1)
            without, with_words = found.unet(rows, t, encoder_hidden_states=states).sample.chunk(2)
            output = without + self.guidance_scale * (with_words - without)
            sample = scheduler.step(output, t, sample).prev_sample
        start = self.cell + (self.frame + 1) // 2
        return decoded(found, sample).crop((start, start, 2 * self.cell, 2 * self.cell))

    def prompt(self, triplet: Triplet) -> str:
        """What B' shows: what the captioner says of the sheet, if it can be asked, else as far as
        captions tell."""
        if (told := self.bench.ask([self._sheet(triplet), QUESTION])) is not None:
            return " ".join(told.split())
        texts = [described(self.bench, triplet, which) for which in ("b", "a", "a_prime")]
        return word_edit(*texts)

    def clone_attention(self) -> None:
        """Replace the attention of the chosen layers."""
        unet = self.network.unet
        layers = attention_layers(unet.attn_processors)[self.first_layer - 1 : self.last_layer]
        chosen = {name for layer in layers for name in layer}
        cloning = CloningAttention(self.cloning)
        unet.set_attn_processor(
            {n: cloning if n in chosen else p for n, p in unet.attn_processors.items()}
        )

    def _sheet(self, triplet: Triplet) -> Image.Image:
        """A, A' above, B and B once more below, where B' will be."""
        sheet = Image.new("RGB", (2 * self.cell, 2 * self.cell), "white")
        half = (self.frame + 1) // 2
        side, start = self.cell - half, self.cell + half
        for picture, place in (
            (triplet.a, (0, 0)),
            (triplet.a_prime, (start, 0)),
            (triplet.b, (0, start)),
            (triplet.b, (start, start)),
        ):
            sheet.paste(picture.resize((side, side), Image.Resampling.LANCZOS), place)
        return sheet

    def _hole(self) -> Tensor:
        """[1, 1, H, W]: 1 where B' will be."""
        hole = torch.zeros(1, 1, 2 * self.cell, 2 * self.cell, device=self.network.unet.device)
        hole[:, :, self.cell :, self.cell :] = 1
        return hole


@dataclass(frozen=True)
class CloningAttention:
    """An attention processor for sheets: see the module."""

    scale: float

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        **_unused: Any,
    ) -> Tensor:
        """Hidden states [n, h * w, width] of square sheets."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            attn.head_to_batch_dim(part)
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        logits = query @ key.transpose(1, 2) * attn.scale
        a, a_prime, b, b_prime = cells(hidden_states.shape[1], hidden_states.device)
        if encoder_hidden_states is None:
            logits = self.cloned(logits, a, a_prime, b, b_prime)
        weights = logits.softmax(-1)
        if encoder_hidden_states is not None:
            weights = weights.index_fill(1, torch.cat([a, a_prime, b]), 0.0)
        joined = attn.batch_to_head_dim(weights @ value)
        result: Tensor = attn.to_out[1](attn.to_out[0](joined))
        return result

    def cloned(
        self, logits: Tensor, a: Tensor, a_prime: Tensor, b: Tensor, b_prime: Tensor
    ) -> Tensor:
        """The logits [n, h * w, h * w] with those between A' and B' taken from A and B."""
        new = logits.clone()
        new[:, b_prime[:, None], a_prime] = self.scale * logits[:, b[:, None], a]
        new[:, a_prime[:, None], b_prime] = self.scale * logits[:, a[:, None], b]
        return new


def cells(positions: int, device: torch.device) -> list[Tensor]:
    """The positions of A, A', B and B' on a square sheet of so many, in the same order in each."""
    side = round(positions**0.5)
    place = torch.arange(side * side, device=device).view(side, side)
    rows = (place[: side // 2], place[side // 2 :])
    return [part.flatten() for row in rows for part in (row[:, : side // 2], row[:, side // 2 :])]


def attention_layers(processors: dict[str, Any]) -> list[list[str]]:
    """The names of self- and cross-attention of each transformer block, on the way through the
    denoiser."""
    order = ("down_blocks", "mid_block", "up_blocks")
    found: dict[str, list[str]] = {}
    for name in processors:
        found.setdefault(name.rpartition(".attn")[0], []).append(name)
    return sorted(found.values(), key=lambda names: order.index(names[0].partition(".")[0]))
