"""Rules for tokens in SDXL, compared on a small SDXL made by ``sdxl_world.py``.

    python benchmarks/sdxl_rules.py [--seeds 3] [--count 8] [--model .train/sdxl-world]

The rules say which of the two encoders' vectors a token is added to, what the pooled embedding is,
and which part is projected to the joint space. For each rule: the token consistency loss reached on
fixed timesteps and noises, as a share of the loss without tokens; the cosine of the projected token
with D_inter; and how often B' is right, according to the diorama world's independent network.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sdxl_world import FOLDER, load
from torch import Tensor
from torch.nn import functional as F

from diffinv.contracts import Conditioning, DiffTokens
from diffinv.contracts.conditioning import concatenate
from diffinv.evaluation.statistics import bootstrap
from diffinv.method.deltas import deltas
from diffinv.method.editors import seeded_noise
from diffinv.method.objective import change_weight, token_consistency
from diffinv.method.sampling import add_noise, training_target
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv.pictures.tensors import to_tensor
from diffinv_diorama.captions import caption
from diffinv_diorama.command import load_parts
from diffinv_diorama.evaluation import Batch, Parts, score
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies, held_out_scenes
from diffinv_stable_diffusion.backbone import StableDiffusion

DRAWS = 12
KEPT = ("a", "a_prime", "b", "b_prime", "cap_a", "cap_a_prime", "prompt_b", "latents", "path")
"""The parts of a batch that are the same under every rule."""


@dataclass(frozen=True)
class Rule:
    """``widths``: the encoders whose vectors a token changes (L, G). ``pooled``: the prompt's own,
    ``projected`` (plus the token's projection), or that of the prompt with ``tokens``. ``joint``:
    the encoders whose parts the clip loss sees."""

    widths: str = "LG"
    pooled: str = "own"
    joint: str = "G"
    space: str = "additive"


RULES = {
    "as built (additive)": Rule(),
    "tokens in bigG's part only": Rule(widths="G"),
    "tokens in CLIP-L's part only": Rule(widths="L", joint=""),
    "pooled: own + projected token": Rule(pooled="projected"),
    "joint: both parts": Rule(joint="LG"),
    "joint: none (no clip loss)": Rule(joint=""),
    "as built (input, n = 5)": Rule(pooled="tokens", space="input"),
    "input, pooled: the prompt's own": Rule(space="input"),
}


@dataclass(frozen=True)
class Ruled(Conditioning):
    """A conditioning that combines with tokens by a rule."""

    model: Ruleful | None = field(default=None, kw_only=True)

    def extend(self, tokens: DiffTokens, strength: float = 1.0) -> Conditioning:
        assert self.model is not None
        values = tokens.values * self.model.mask
        done = super().extend(DiffTokens(values, tokens.space), strength)
        pooled = self.model.rule.pooled
        if pooled == "tokens":
            return done
        embeds = self.extra["pooled"]
        if pooled == "projected":
            embeds = embeds + strength * self.model.project(values.sum(1), "G")
        return replace(done, extra={**done.extra, "pooled": embeds})


class Ruleful(StableDiffusion):
    """The plugin's SDXL with the rules left open."""

    rule = Rule()

    @property
    def mask(self) -> Tensor:
        """[width]: 1 where tokens act."""
        parts = zip("LG", self.towers, strict=True)
        return torch.cat([torch.full((t.width,), float(x in self.rule.widths)) for x, t in parts])

    def encode_prompts(self, prompts: list[str]) -> Conditioning:
        found = super().encode_prompts(prompts)
        return Ruled(found.prompt_embeds, found.extra, found.reencode, model=self)

    def project(self, tokens: Tensor, parts: str) -> Tensor:
        """Each part through its own encoder's projection; here both lead to the same space."""
        split = tokens.split([t.width for t in self.towers], dim=-1)
        rows = zip("LG", self.towers, split, strict=True)
        return sum(t.model.text_projection(x) for name, t, x in rows if name in parts)

    def project_tokens(self, tokens: Tensor) -> Tensor:
        return self.project(tokens * self.mask, self.rule.joint or "G")


@dataclass
class Setting:
    """One seed's analogies, and what all rules have in common."""

    base: Batch
    directions: Tensor
    seed: int

    @classmethod
    def make(cls, parts: Parts, count: int, seed: int) -> Setting:
        chosen = analogies(count, 100 + seed)
        base = Batch(chosen, parts, inversion_settings(), ApplicationSettings(), seed)
        for name in KEPT:
            getattr(base, name)
        rows = zip(base.a, base.a_prime, base.cap_a, base.cap_a_prime, strict=True)
        found = [deltas(parts.encoder, ([a], [b]), ([c], [d]), 0.8).inter for a, b, c, d in rows]
        return cls(base, torch.stack(found), seed)

    def batch(self, rule: Rule) -> Batch:
        """The same analogies under a rule."""
        changes = {"lambda_clip": None if rule.joint else 0.0, "seed": self.seed}
        changes["token_space"] = rule.space
        settings = inversion_settings(**changes)
        base = self.base
        fresh = Batch(base.analogies, base.parts, settings, base.application, base.seed)
        fresh.__dict__.update({name: getattr(base, name) for name in KEPT})
        return fresh


@torch.no_grad()
def consistency(batch: Batch, before: Conditioning, after: Conditioning) -> Tensor:
    """L_tc (rms, weighted by change) of each analogy over the fixed draws: [n]."""
    model = batch.parts.backbone
    z_a, z_a_prime = (model.encode_images(to_tensor(x)) for x in (batch.a, batch.a_prime))
    latents, weight = torch.cat([z_a, z_a_prime]), change_weight(z_a, z_a_prime).repeat(2, 1, 1, 1)
    both, total = concatenate(before, after), torch.zeros(len(z_a))
    for i in range(DRAWS):
        t = torch.full((len(latents),), int((i + 0.5) / DRAWS * len(model.alphas_cumprod)))
        noise = seeded_noise(latents[:1].shape, 31 + i, latents.device).expand_as(latents)
        level = model.schedule.at(t)
        found = model.predict(add_noise(latents, noise, level), t, both)
        target = training_target(latents, noise, level, model.prediction_type)
        total += token_consistency(target, found, weight, "rms") / DRAWS
    return total


def measure(setting: Setting, rule: Rule) -> dict[str, list[float]]:
    """The figures of one rule on one seed's analogies."""
    batch = setting.batch(rule)
    model = batch.parts.backbone
    model.rule = rule
    tokens = batch.tokens
    prompts = [model.encode_prompts(texts) for texts in (batch.cap_a, batch.cap_a_prime)]
    start = consistency(batch, prompts[1], prompts[0])
    reached = consistency(batch, prompts[1].extend(tokens, -1.0), prompts[0].extend(tokens, 1.0))
    mean = tokens.values.mean(1) * model.mask
    split = mean.split([t.width for t in model.towers], dim=-1)
    cosine = F.cosine_similarity(model.project(mean, "G"), setting.directions, dim=-1)
    rows = score(batch, "difference-inversion")
    return {
        "L_tc share": (reached / start).tolist(),
        "cos(D, D_inter)": cosine.tolist() if "G" in rule.widths else [float("nan")],
        "|D_L|": split[0].norm(dim=-1).tolist(),
        "|D_G|": split[1].norm(dim=-1).tolist(),
        "edit": [row.edit for row in rows],
        "kept": [row.kept for row in rows],
        "right": [row.right for row in rows],
    }


def reference(setting: Setting) -> dict[str, list[float]]:
    """The true captions instead of tokens: {prompt_A} gives A, {prompt_A'} gives A'."""
    batch = setting.batch(Rule())
    batch.parts.backbone.rule = Rule()
    prompts = [batch.parts.backbone.encode_prompts(t) for t in (batch.cap_a, batch.cap_a_prime)]
    share = consistency(batch, *prompts) / consistency(batch, *reversed(prompts))
    rows = score(batch, "true-caption")
    found = {name: [getattr(row, name) for row in rows] for name in ("edit", "kept", "right")}
    return {"L_tc share": share.tolist(), **found}


@torch.no_grad()
def reliance(model: Ruleful, count: int = 128) -> Iterator[tuple[str, float]]:
    """The loss with the right captions, and with other pictures' captions for one part."""
    rng, scenes = np.random.default_rng(9), held_out_scenes()
    chosen = [scenes[int(i)] for i in rng.integers(len(scenes), size=count)]
    latents = model.encode_images(to_tensor([render(s, int(rng.integers(2**31))) for s in chosen]))
    right = model.encode_prompts([caption(s, rng) for s in chosen])
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(20, 980, count).long()
    level = model.schedule.at(t)
    target = training_target(latents, noise, level, model.prediction_type)
    first = model.towers[0].width
    for part in ("none", "CLIP-L's", "bigG's", "the pooled", "all"):
        embeds, extra = right.prompt_embeds.clone(), dict(right.extra)
        if part in ("CLIP-L's", "all"):
            embeds[..., :first] = embeds[..., :first].roll(1, 0)
        if part in ("bigG's", "all"):
            embeds[..., first:] = embeds[..., first:].roll(1, 0)
        if part in ("the pooled", "all"):
            extra["pooled"] = extra["pooled"].roll(1, 0)
        found = model.predict(add_noise(latents, noise, level), t, Conditioning(embeds, extra))
        yield part, float(F.mse_loss(found, target))


def cell(values: list[float], digits: int = 2) -> str:
    e = bootstrap(values)
    return "–" if e.n == 0 else f"{e.mean:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"


def gather(settings: list[Setting], figures: Callable[[Setting], dict[str, list[float]]]) -> None:
    rows = [figures(setting) for setting in settings]
    joined = {name: [x for row in rows for x in row[name]] for name in rows[0]}
    print(" | ".join(cell(values) for values in joined.values()), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=8, help="analogies a seed")
    parser.add_argument("--only", default="", help="rules whose name contains this")
    parser.add_argument("--model", type=Path, default=FOLDER)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load(args.model, Ruleful)
    for part, loss in reliance(model):
        print(f"loss with {part} of its text vectors from another picture: {loss:.4f}")
    parts = replace(load_parts("edit-friendly", "cpu"), backbone=model)
    settings = [Setting.make(parts, args.count, seed) for seed in range(args.seeds)]
    print(
        "| rule | L_tc share | cos(D, D_inter) | norm of D_L | norm of D_G | edit | kept | right |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, rule in ((name, rule) for name, rule in RULES.items() if args.only in name):
        print(f"| {name} | ", end="")
        gather(settings, partial(measure, rule=rule))
    if args.only in "true captions":
        print("true captions: L_tc share, edit, kept, right: ", end="")
        gather(settings, reference)


if __name__ == "__main__":
    main()
