"""Writes the colours of Diorama's world: ``python make_palette.py``.

A bit for each of 32 x 32 x 32 colours, set if pictures of the world have it when they are small.
"""

from __future__ import annotations

import numpy as np

from diffinv_diorama.render import render
from diffinv_diorama.suiting import PALETTE, colours
from diffinv_diorama.world import all_scenes

PICTURES = 4000


def main() -> None:
    """Render pictures, note their colours."""
    scenes = list(all_scenes())
    chosen = np.random.default_rng(0).permutation(len(scenes))[:PICTURES]
    found = np.zeros(32**3, dtype=bool)
    for number in chosen:
        found[colours(render(scenes[number], int(number)))] = True
    PALETTE.write_bytes(np.packbits(found).tobytes())


if __name__ == "__main__":
    main()
