"""What a GPU adds to the promises: the same bits twice, and whatever pictures go together.

python benchmarks/on_gpu.py [--device cuda]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from common import where

import diffinv
from diffinv_diorama.render import render
from diffinv_diorama.world import analogies


def main() -> None:
    """Print what is the same, and how long it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    print(where(given.device))
    model = diffinv.load("diorama", device=given.device)
    example = analogies(1, 0)[0]
    pair = [render(scene, example.seed_a) for scene in (example.a, example.a_prime)]
    model.invert(*pair, steps=2, progress=False)
    state = torch.get_rng_state()
    started = time.perf_counter()
    first = model.invert(*pair, progress=False)
    print(f"an inversion: {time.perf_counter() - started:.2f} s")
    second = model.invert(*pair, progress=False)
    print("the same tokens twice:", first.tokens.tobytes() == second.tokens.tobytes())
    print("torch's state is as before:", bool((state == torch.get_rng_state()).all()))
    pictures = [render(x.b, x.seed_b, 768, 512) for x in analogies(8, 1)]
    started = time.perf_counter()
    together = model.apply(first, pictures, progress=False)
    print(f"8 pictures at 768 x 512: {time.perf_counter() - started:.2f} s")
    backwards = model.apply(first, pictures[::-1], progress=False)[::-1]
    same = [np.array_equal(a, b) for a, b in zip(together, backwards, strict=True)]
    print("the same results in another order:", all(same))
    alone = [model.apply(first, [p], progress=False)[0] for p in pictures]
    off = [
        int(np.abs(np.asarray(a, int) - np.asarray(b)).max())
        for a, b in zip(together, alone, strict=True)
    ]
    print("alone they differ by at most, of 255:", max(off))


if __name__ == "__main__":
    main()
