"""The settings of compared methods that do best on the embedded world.

Each method's open numbers were tried on 16 analogies (``--data diorama --seed 9000``) that no
comparison uses: six settings of InstructPix2Pix, three of SDEdit, three of VISII (on eight,
with 100 steps, which its learning rate makes up for), five of Analogist, and six ways to learn
DIA's conditionings, each at 9 to 32 strengths, guidance scales and noise iterations (on eight).
Difference inversion's defaults were found on analogies of other seeds, too (``docs/recipe.md``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TUNED: Mapping[str, Mapping[str, Any]] = {
    "instruct-pix2pix": {
        "steps": 20,
        "sampler": "ddim",
        "guidance_scale": 1.5,
        "image_guidance_scale": 1.5,
    },
    "sdedit": {"strength": 0.85, "guidance_scale": 2.0, "steps": 20},
    "visii": {
        "steps": 100,
        "lr": 0.1,
        "prompter": "caption",
        "sampler": "ddim",
        "guidance_scale": 1.5,
    },
    "dia": {"iterations": 80, "lr": 0.03, "strength": 0.75, "guidance_scale": 3.0},
    "analogist": {
        "steps": 25,
        "guidance_scale": 3.0,
        "first_layer": 3,
        "last_layer": 4,
        "cell": 96,
        "frame": 0,
        "suffix": "",
        "negative_prompt": "",
    },
}
