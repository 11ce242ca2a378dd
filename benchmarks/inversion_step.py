"""One inversion step against a bare UNet forward and backward at the same batch.

The goal is a ratio of at most 1.05: the method should cost what the denoiser costs.
"""

from __future__ import annotations

import argparse
import time

import torch
from common import paired, where

from diffinv.method.inversion import Inversion, Pair, invert
from diffinv.method.settings import inversion_settings
from diffinv_diorama.command import load_parts
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies

STEPS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs", type=int, default=8, help="pairs a batch; the UNet sees two each"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    parts = load_parts("edit-friendly", args.device)
    pairs = []
    for x in analogies(args.pairs, 0):
        a, a_prime = render(x.a, x.seed_a), render(x.a_prime, x.seed_a)
        before, after = parts.captioner.caption([a, a_prime])
        pairs.append([Pair(a, a_prime, before, after, before, after)])
    rows = 2 * args.pairs
    side = parts.backbone.resolution // 8
    noisy = torch.randn(rows, 8, side, side, device=args.device)
    timesteps = torch.randint(0, 1000, (rows,), device=args.device)
    prompt = parts.backbone.encode_prompts([pair[0].prompt_a for pair in pairs] * 2)
    embeds = prompt.prompt_embeds.clone().requires_grad_()

    def bare() -> None:
        for _ in range(STEPS):
            output = parts.backbone.unet(noisy, timesteps, encoder_hidden_states=embeds).sample
            output.square().mean().backward()
            embeds.grad = None

    # Candidates are scored from half-way through a run: in so long a run, these are bare steps.
    inversion = Inversion(parts.backbone, parts.encoder, pairs, inversion_settings(steps=1_000_000))

    def steps() -> None:
        for _ in range(STEPS):
            inversion.advance()

    def whole() -> None:
        invert(parts.backbone, parts.encoder, pairs, inversion_settings())

    print(where(args.device))
    ours, theirs, ratio = paired(steps, bare, args.rounds)
    print(f"batch {rows}: bare forward+backward {theirs / STEPS * 1000:.1f} ms a step")
    print(f"inversion step {ours / STEPS * 1000:.1f} ms, ratio {ratio:.3f} (goal at most 1.05)")
    count = inversion_settings().steps
    start = time.perf_counter()
    whole()
    seconds = time.perf_counter() - start
    print(
        f"a whole inversion ({count} steps, encoding and scoring included): {seconds:.1f} s for"
        f" {args.pairs} differences, {seconds / (count * theirs / STEPS):.3f} of its bare steps"
    )


if __name__ == "__main__":
    main()
