"""Learning several differences in one batch of the denoiser, against one after another.

python benchmarks/invert_many.py
"""

from __future__ import annotations

import argparse

from common import paired, where

import diffinv
from diffinv.jobs.demo import find_example
from diffinv.plugins.loading import registry


def main() -> None:
    """Time both ways, with the model loaded and warmed up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8, help="differences")
    parser.add_argument("--steps", type=int, default=80, help="updates of each")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    pairs = [find_example(registry()).pair] * given.count
    model = diffinv.load("diorama", device="cpu")

    def together() -> None:
        model.invert_many(pairs, batch=given.count, steps=given.steps, progress=False)

    def apart() -> None:
        for a, a_prime in pairs:
            model.invert(a, a_prime, steps=given.steps, progress=False)

    at_once, in_turn, ratio = paired(together, apart, given.rounds)
    print(where("cpu"))
    print(f"{given.count} differences at once {at_once:.2f} s, one after another {in_turn:.2f} s")
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
