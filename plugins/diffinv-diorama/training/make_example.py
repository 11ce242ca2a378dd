"""Draws the pictures that ``diffinv demo`` starts from: a cabin that becomes a castle, nine cabins.

Every B and the castle it should become are held-out combinations.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import diffinv_diorama
from diffinv_diorama.render import render
from diffinv_diorama.world import Scene, held_out_scenes, is_held_out

FOLDER = Path(diffinv_diorama.__file__).parent / "example"
A = Scene("cabin", "red", "day", "grass", "mountains", "none", "none")
QUERIES = 9


def queries() -> list[Scene]:
    """Held-out cabins whose castle is held out too where there are such, others behind them."""
    cabins = [s for s in held_out_scenes() if s.building == "cabin"]
    order = np.random.default_rng(4).permutation(len(cabins))
    shuffled = [cabins[i] for i in order]
    chosen = sorted(shuffled, key=lambda s: not is_held_out(s.with_value("building", "castle")))
    return chosen[:QUERIES]


def main() -> None:
    (FOLDER / "b").mkdir(parents=True, exist_ok=True)
    render(A, 12).save(FOLDER / "a.png")
    render(A.with_value("building", "castle"), 12).save(FOLDER / "a_prime.png")
    for i, scene in enumerate(queries(), 1):
        render(scene, 100 + i).save(FOLDER / "b" / f"{i:02}.png")


if __name__ == "__main__":
    main()
