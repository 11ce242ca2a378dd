"""VISII (Nguyen et al., NeurIPS 2023): an instruction learned from A and A' as hidden states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from diffinv.contracts import Network
from diffinv.errors import UsageError
from diffinv.method.answers import picture_vectors
from diffinv.method.prompts import make_prompts

from .instruct_pix2pix import SAMPLERS, InstructPix2Pix, guided_twice, seen_thrice
from .networks import network, pixels, seen, text_states

if TYPE_CHECKING:
    from PIL.Image import Image

    from diffinv.contracts import Bench, Triplet

_CLIP_ENOUGH = 0.5
"""Beyond this cosine the words are near enough to the pictures' direction."""


def load(bench: Bench, weights: str | None, **settings: Any) -> Visii:
    """The method on the checkpoint named, or on the backbone's companion."""
    return Visii(bench, network(bench, "visii", "instruct-pix2pix", weights), **settings)


@dataclass(frozen=True)
class Visii:
    """``steps`` of learning at ``lr`` from the prompt of A' by ``prompter`` (``pez`` or
    ``caption``), under ``lambda_mse`` and ``lambda_clip``; then as InstructPix2Pix samples."""

    bench: Bench
    network: Network
    steps: int = 1000
    lr: float = 1e-3
    lambda_mse: float = 4.0
    lambda_clip: float = 0.1
    prompter: str = "pez"
    sampling_steps: int = 20
    guidance_scale: float = 7.5
    image_guidance_scale: float = 1.5
    sampler: str = "euler-ancestral"

    def __post_init__(self) -> None:
        if self.prompter not in ("pez", "caption") or self.sampler not in SAMPLERS:
            raise UsageError(
                "The method 'visii' takes prompter pez or caption, and sampler "
                f"{' or '.join(SAMPLERS)}."
            )

    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B'."""
        learned = self.learn(triplet, seed)
        empty = text_states(self.network, ["", ""])
        sampling = InstructPix2Pix(
            self.network,
            self.sampling_steps,
            self.guidance_scale,
            self.image_guidance_scale,
            self.sampler,
        )
        return sampling.follow(triplet.b, torch.cat([learned, empty]), seed)

    @torch.enable_grad()
    def learn(self, triplet: Triplet, seed: int) -> Tensor:
        """The instruction's hidden states [1, length, width] with the lowest error of one step.

        Only what stands between the start and the end of the first prompt is learned. Every
        timestep comes once before any comes again, each with a noise of its own.
        """
        found, generator = self.network, torch.Generator().manual_seed(seed)
        before, after = self._latents(triplet)
        prompt = self._first_prompt(triplet, seed)
        states, words = text_states(found, [prompt, "", ""]), _words(found, prompt)
        soft = states[:1, words].clone().requires_grad_()
        largest, direction = float(soft.detach().abs().max()), self._direction(triplet)
        optimiser = torch.optim.AdamW([soft], lr=self.lr)
        best, lowest = soft.detach().clone(), float("inf")
        total = found.scheduler.config.num_train_timesteps
        order = torch.cat(
            [torch.randperm(total, generator=generator) for _ in range(-(-self.steps // total))]
        )
        for t in order[: self.steps].to(after.device):
            noise = torch.randn(after.shape, generator=generator).to(after.device)
            now = torch.cat([_placed(states[:1], soft, words), states[1:]])
            error = self._error(after, before, noise, t, now)
            loss = self.lambda_mse * error - self.lambda_clip * self._agreement(soft, direction)
            if float(error.detach()) < lowest:
                best, lowest = soft.detach().clone(), float(error.detach())
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_([soft], largest)
            optimiser.step()
        return _placed(states[:1], best, words).detach()

    def _error(
        self, after: Tensor, before: Tensor, noise: Tensor, t: Tensor, states: Tensor
    ) -> Tensor:
        """MSE between what the guided denoiser predicts for A', seeing A, and the truth."""
        found = self.network
        noisy = found.scheduler.add_noise(after, noise, t[None])
        if found.scheduler.config.prediction_type == "v_prediction":
            noise = found.scheduler.get_velocity(after, noise, t[None])
        rows = torch.cat([noisy.expand(3, -1, -1, -1), seen_thrice(before)], dim=1)
        predicted = found.unet(rows, t, encoder_hidden_states=states).sample
        guided = guided_twice(predicted, self.guidance_scale, self.image_guidance_scale)
        return F.mse_loss(guided, noise)

    def _agreement(self, soft: Tensor, direction: Tensor) -> Tensor:
        """The cosine of the mean hidden state in the joint space with the pictures' direction."""
        place = self.bench.backbone.project_tokens(soft.mean(1))[0]
        return F.cosine_similarity(place, direction, dim=0).clamp(max=_CLIP_ENOUGH)

    @torch.no_grad()
    def _latents(self, triplet: Triplet) -> tuple[Tensor, Tensor]:
        """A's latents as the denoiser sees them, unscaled, and those of A', scaled."""
        found = self.network
        a = seen(found, triplet.a)
        a_prime = triplet.a_prime.resize(a.size)
        modes = [found.vae.encode(pixels(found, x)).latent_dist.mode() for x in (a, a_prime)]
        return modes[0], modes[1] * found.vae.config.scaling_factor

    @torch.no_grad()
    def _direction(self, triplet: Triplet) -> Tensor:
        vectors = picture_vectors(self.bench.delta_encoder, [triplet.a, triplet.a_prime])
        before, after = F.normalize(vectors, dim=-1)
        return F.normalize(after - before, dim=0).detach()

    def _first_prompt(self, triplet: Triplet, seed: int) -> str:
        caption = triplet.captions.get("a_prime") or self.bench.caption(triplet.a_prime)
        encoder, picture = self.bench.delta_encoder, triplet.a_prime
        return make_prompts(self.prompter, encoder, [picture], [caption], seed)[0]


def _words(found: Network, prompt: str) -> slice:
    """Where the words of a prompt stand: between its start and its end."""
    room = found.tokenizer.model_max_length - 2
    return slice(1, 1 + max(1, min(room, len(found.tokenizer.tokenize(prompt)))))


def _placed(states: Tensor, soft: Tensor, words: slice) -> Tensor:
    return torch.cat([states[:, : words.start], soft, states[:, words.stop :]], dim=1)
