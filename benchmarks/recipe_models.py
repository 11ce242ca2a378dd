"""Whether one recipe suits models that differ in width, scale, prediction type and noise schedule.

    python benchmarks/recipe_models.py [--count 24] [--seed 2] [--lr 0.03 0.1 0.3]

Each model is the embedded one behind another interface, exactly: its hidden states are turned into
another width and scale, its prediction into noise, its timesteps spaced by another schedule.
``narrow`` keeps those 64 of the 160 directions of its hidden states along which they vary most.
What is learned is judged without rewording, so that the tokens stand alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from diffinv.contracts import (
    Backbone,
    Conditioning,
    Level,
    PredictionType,
    RectifiedFlow,
    Schedule,
    Timestep,
    VariancePreserving,
)
from diffinv.method.sampling import predicted_noise, predicted_original
from diffinv.method.settings import ApplicationSettings, InversionSettings
from diffinv_diorama.backbone import DioramaBackbone
from diffinv_diorama.captions import caption
from diffinv_diorama.command import load_parts
from diffinv_diorama.evaluation import evaluate
from diffinv_diorama.world import analogies, training_scenes


@dataclass(frozen=True)
class Kind:
    """How a model looks from outside."""

    name: str
    width: int = 160
    scale: float = 1.0
    prediction_type: PredictionType = "v_prediction"
    schedule: str = "cosine"


KINDS = (
    Kind("diorama"),
    Kind("narrow", 64, 1.0, "epsilon", "cosine"),
    Kind("wide", 768, 8.0, "v_prediction", "scaled linear"),
    Kind("faint", 512, 0.125, "epsilon", "linear"),
    Kind("flow", 160, 1.0, "flow", "rectified flow"),
)


class Disguised:
    """The embedded model as another kind."""

    def __init__(self, model: DioramaBackbone, kind: Kind) -> None:
        self._model, self.kind = model, kind
        self.id, self.weights_id = kind.name, model.weights_id
        self.resolution, self.size_multiple = model.resolution, model.size_multiple
        self.device, self.token_budget = model.device, model.token_budget
        self.joint_space, self.token_width = model.joint_space, kind.width
        self.prediction_type = kind.prediction_type
        self._turn, self._mean = _turn(model, kind.width)
        self.schedule: Schedule
        if kind.schedule == "rectified flow":
            self.schedule = RectifiedFlow()
        else:
            self._steps = _spaced(model.schedule.alphas_cumprod, kind.schedule)
            self.schedule = VariancePreserving(model.schedule.alphas_cumprod[self._steps])
        self.encode_images, self.decode = model.encode_images, model.decode
        self.count_tokens = model.count_tokens

    def timesteps(self, steps: int) -> list[Timestep]:
        """Evenly spaced from the noisiest down."""
        if isinstance(self.schedule, RectifiedFlow):
            return [1 - i / steps for i in range(steps)]
        return [int(t) for t in np.linspace(len(self._steps) - 1, 0, steps, endpoint=False)]

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """Hidden states in the other width and scale."""
        hidden = self._model.encode_prompts(prompts).prompt_embeds - self._mean
        return Conditioning(hidden @ self._turn * self.kind.scale)

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The model's prediction, as noise or flow if this kind predicts that."""
        own = Conditioning(self._back(conditioning.prompt_embeds) + self._mean)
        level = self.schedule.at(timesteps)
        if self.prediction_type == "flow":
            return self._flow(noisy, level, own)
        found = self._model.predict(noisy, self._steps[timesteps], own)
        if self.prediction_type == "v_prediction":
            return found
        return predicted_noise(noisy, found, level, "v_prediction")

    def _flow(self, noisy: Tensor, level: Level, own: Conditioning) -> Tensor:
        """eps - x_0. A place on the straight path, brought to a variance of 1, is one on the
        model's own, at the timestep with the same share of noise."""
        path = self._model.schedule
        shares = (level.a2 / level.total).flatten()
        nearest = (path.alphas_cumprod[None] - shares[:, None]).abs().argmin(1)
        sample, there = noisy / level.total.sqrt(), path.at(nearest)
        found = self._model.predict(sample, nearest, own)
        eps = predicted_noise(sample, found, there, "v_prediction")
        return eps - predicted_original(sample, found, there, "v_prediction")

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """As the model projects them."""
        return self._model.project_tokens(self._back(tokens))

    def _back(self, states: Tensor) -> Tensor:
        return states / self.kind.scale @ self._turn.T


def _turn(model: DioramaBackbone, width: int) -> tuple[Tensor, Tensor]:
    """A matrix [160, width] with orthonormal rows, or, if the width is smaller, with the columns
    along which hidden states vary most, around their mean [160]."""
    generator = torch.Generator().manual_seed(0)
    if width >= model.token_width:
        random = torch.randn(width, model.token_width, generator=generator)
        return torch.linalg.qr(random).Q.T.contiguous(), torch.zeros(model.token_width)
    rng, scenes = np.random.default_rng(0), training_scenes()
    texts = [caption(scenes[int(i)], rng) for i in rng.integers(len(scenes), size=256)]
    states = model.encode_prompts(texts).prompt_embeds.flatten(0, 1)
    directions = torch.linalg.svd(states - states.mean(0), full_matrices=False).Vh
    return directions[:width].T.contiguous(), states.mean(0)


def _spaced(alphas_cumprod: Tensor, schedule: str) -> Tensor:
    """For each of the schedule's 1,000 timesteps, the model's timestep with as much noise."""
    if schedule == "cosine":
        return torch.arange(len(alphas_cumprod))
    start, end = 0.00085, 0.012
    betas = torch.linspace(start**0.5, end**0.5, 1000) ** 2
    if schedule == "linear":
        betas = torch.linspace(1e-4, 0.02, 1000)
    wanted = torch.cumprod(1 - betas, 0)
    return (wanted[:, None] - alphas_cumprod[None]).abs().argmin(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--lr", type=float, nargs="+", default=[0.03, 0.1, 0.3])
    parser.add_argument("--model", nargs="+", choices=[kind.name for kind in KINDS])
    parser.add_argument("--editor", default="edit-friendly")
    args = parser.parse_args()
    parts, chosen = load_parts(args.editor, "cpu"), analogies(args.count, args.seed)
    kinds = [kind for kind in KINDS if not args.model or kind.name in args.model]
    print("| model | width | scale | predicts | schedule | lr | right |")
    print("|---|---|---|---|---|---|---|")
    for kind in kinds:
        model = cast(Backbone, Disguised(cast(DioramaBackbone, parts.backbone), kind))
        for lr in (*args.lr, None):
            settings = InversionSettings(lr=lr or 0.1)
            method = "tokens-only" if lr else "true-caption"
            application = ApplicationSettings(args.editor, reword=False)
            rows = evaluate(
                chosen, replace(parts, backbone=model), settings, application, [method], 12
            )
            right = np.mean([row.right for row in rows[method]])
            print(
                f"| {kind.name} | {kind.width} | {kind.scale:g} | {kind.prediction_type} | "
                f"{kind.schedule} | {lr or 'true caption'} | {right:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
