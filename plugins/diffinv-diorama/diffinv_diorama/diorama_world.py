"""The embedded world as a maker of analogies: see :class:`diffinv.contracts.World`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

import numpy as np

from diffinv.contracts import Triplet
from diffinv.pictures.framing import to_model
from diffinv.pictures.tensors import to_tensor

from .captions import caption
from .cases import CASES, Case, analogies_of, mistaken
from .instructions import instruction
from .oracle import read_scenes
from .render import SIZE, render
from .world import Analogy, Scene

if TYPE_CHECKING:
    from PIL.Image import Image


def load(device: str) -> DioramaWorld:
    """The world; its judge runs on the CPU."""
    return DioramaWorld()


class DioramaWorld:
    """Analogies of held-out landscapes, judged by the independent network."""

    cases = CASES

    def triplets(self, count: int, seed: int, case: str) -> list[Triplet]:
        """``count`` analogies of one of :data:`.cases.CASES`."""
        found = analogies_of(cast("Case", case), count, seed)
        return [_triplet(i, seed, case, analogy) for i, analogy in enumerate(found)]

    def judge(self, triplet: Triplet, answers: Sequence[Image]) -> list[Mapping[str, float]]:
        """``edit``: what should change is as in the true B'; ``kept``: all else is; ``right``:
        both."""
        target, changed = Scene(**triplet.facts["b_prime"]), triplet.facts["attributes"]
        pictures = [to_model(answer, (SIZE, SIZE)) for answer in answers]
        return [_verdict(read, target, changed) for read in read_scenes(to_tensor(pictures))]


def _verdict(read: Scene, target: Scene, changed: Sequence[str]) -> dict[str, float]:
    same = {name: getattr(read, name) == value for name, value in asdict(target).items()}
    edit = all(same[name] for name in changed)
    kept = all(alike for name, alike in same.items() if name not in changed)
    return {"edit": float(edit), "kept": float(kept), "right": float(edit and kept)}


def _triplet(i: int, seed: int, case: str, analogy: Analogy) -> Triplet:
    rng = np.random.default_rng([12, seed, i])
    edits = [edit for edit in (analogy.edit, analogy.second) if edit]
    seed_a_prime = analogy.seed_a if analogy.seed_a_prime is None else analogy.seed_a_prime
    captions = {"b_prime": caption(analogy.b_prime, rng)}
    if analogy.captions == "silent":
        captions |= {"a": "a picture", "a_prime": "a picture"}
    elif analogy.captions == "mistaken":
        for name in ("a", "a_prime"):
            scene = mistaken(getattr(analogy, name), analogy.attributes, rng)
            captions[name] = caption(scene, rng)
    return Triplet(
        id=f"{case}-{seed}-{i:04d}",
        a=render(analogy.a, analogy.seed_a),
        a_prime=render(analogy.a_prime, seed_a_prime),
        b=render(analogy.b, analogy.seed_b),
        b_prime=render(analogy.b_prime, analogy.seed_b),
        instruction=" and ".join(instruction(edit, rng) for edit in edits),
        captions=captions,
        facts={
            "kind": analogy.edit.kind,
            "attributes": list(analogy.attributes),
            "b_prime": asdict(analogy.b_prime),
        },
    )
