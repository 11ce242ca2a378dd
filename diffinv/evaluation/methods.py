"""Difference inversion as a method of comparison, and the floors and ceilings beside it.

Every picture is the model's own, at the size at which it sees B: what methods are compared by must
not be how their results are enlarged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from ..contracts import Bench, Conditioning, Triplet
from ..method import answers
from ..method.application import edit_latents
from ..method.settings import ApplicationSettings, inversion_settings
from ..pictures.framing import of_shape, to_model
from ..running.editing import batches

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..difference import Difference
    from .bench import ModelBench

APPLYING = ("editor", "num_inference_steps", "guidance_scale", "mask", "mask_grow", "reword")
"""The settings of an application, as the Python API names them."""


def seen(bench: ModelBench, image: Image) -> Image:
    """A picture as the backbone sees it."""
    return to_model(image, answers.seen_size(bench.backbone, image.size))


def described(bench: Bench, triplet: Triplet, which: str) -> str:
    """What a picture of the triplet shows: the caption given for it, or the captioner's."""
    return triplet.captions.get(which) or bench.caption(getattr(triplet, which))


class DifferenceInversion:
    """Learns the difference of A and A' and applies it to B, with the settings of any preset."""

    def __init__(self, bench: ModelBench, weights: str | None = None, **settings: Any) -> None:
        self._bench, self._strength = bench, settings.pop("strength", 1.0)
        self._applying = {n: settings.pop(n) for n in APPLYING if n in settings}
        self._applying["use_difference_mask"] = self._applying.pop("mask", True)
        preset = settings.pop("preset", "default")
        self._learning = inversion_settings(preset, preview=0, **settings)

    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B' as ``Model.invert`` and ``Model.apply`` make it."""
        return self.complete_many([triplet], seed)[0]

    def complete_many(self, triplets: Sequence[Triplet], seed: int) -> list[Image]:
        """The B' of each. What is learned from pictures of one size is learned in one batch."""
        model = self._bench.model
        sizes = [answers.seen_size(self._bench.backbone, one.a.size) for one in triplets]
        learned: dict[int, Difference] = {}
        for rows, _ in batches(sizes, sizes, len(triplets)):
            some = [triplets[i] for i in rows]
            found = model.invert_many(
                [(one.a, one.a_prime) for one in some],
                captions=[self._captions(one) for one in some],
                batch=len(some),
                settings=replace(self._learning, seed=seed),
                progress=False,
            )
            learned.update(zip(rows, found, strict=True))
        return [self._applied(learned[i], one, seed) for i, one in enumerate(triplets)]

    def _captions(self, triplet: Triplet) -> tuple[str, str]:
        return described(self._bench, triplet, "a"), described(self._bench, triplet, "a_prime")

    def _applied(self, difference: Difference, triplet: Triplet, seed: int) -> Image:
        return self._bench.model.apply(
            difference,
            triplet.b,
            strength=self._strength,
            prompt=triplet.captions.get("b"),
            seed=seed,
            size="model",
            progress=False,
            **self._applying,
        )


@dataclass(frozen=True)
class _Words:
    """Edits B from its caption to other words, with one of the editors and no mask."""

    bench: ModelBench
    weights: str | None = None
    editor: str = "edit-friendly"
    steps: int = 20
    guidance_scale: float = 2.0

    @torch.no_grad()
    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B'."""
        backbone, b = self.bench.backbone, seen(self.bench, triplet.b)
        prompt = described(self.bench, triplet, "b")
        source = answers.conditioning(backbone, [prompt])
        settings = ApplicationSettings(
            self.editor, self.steps, self.guidance_scale, mask=False, seed=seed
        )
        editor, latents = self.bench.editor(self.editor), answers.latents(backbone, [b])
        target = self.target(triplet, prompt, source)
        edited = edit_latents(backbone, latents, source, target, editor, settings)
        return answers.pictures(backbone, edited)[0]

    def target(self, triplet: Triplet, prompt: str, source: Conditioning) -> Conditioning:
        """What B is led to."""
        raise NotImplementedError


class TrueCaption(_Words):
    """A ceiling for every editor of prompts: the words of the true B'."""

    def target(self, triplet: Triplet, prompt: str, source: Conditioning) -> Conditioning:
        """The caption of B'."""
        return answers.conditioning(
            self.bench.backbone, [described(self.bench, triplet, "b_prime")]
        )


class WordEdit(_Words):
    """The words in which the captions of A and A' differ, exchanged in B's."""

    def target(self, triplet: Triplet, prompt: str, source: Conditioning) -> Conditioning:
        """The edited caption of B."""
        pair = described(self.bench, triplet, "a"), described(self.bench, triplet, "a_prime")
        return answers.conditioning(self.bench.backbone, [word_edit(prompt, *pair)])


class CaptionArithmetic(_Words):
    """hidden(prompt_B) + hidden(cap_A') - hidden(cap_A), position by position."""

    def target(self, triplet: Triplet, prompt: str, source: Conditioning) -> Conditioning:
        """The moved hidden states."""
        texts = [described(self.bench, triplet, which) for which in ("a", "a_prime")]
        before, after = answers.conditioning(self.bench.backbone, texts).prompt_embeds
        return Conditioning(source.prompt_embeds + (after - before), source.extra)


@dataclass(frozen=True)
class CopyB:
    """A floor: B itself."""

    bench: ModelBench
    weights: str | None = None

    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B as the model sees it."""
        return seen(self.bench, triplet.b)


@dataclass(frozen=True)
class Autoencoder:
    """A ceiling for every latent model: the true B', encoded and decoded."""

    bench: ModelBench
    weights: str | None = None

    @torch.no_grad()
    def complete(self, triplet: Triplet, seed: int) -> Image:
        """The reconstruction of B'."""
        assert triplet.b_prime is not None
        truth = of_shape(triplet.b_prime, triplet.b.size)
        picture = to_model(truth, answers.seen_size(self.bench.backbone, triplet.b.size))
        latents = answers.latents(self.bench.backbone, [picture])
        return answers.pictures(self.bench.backbone, latents)[0]


def word_edit(prompt: str, cap_a: str, cap_a_prime: str) -> str:
    """The prompt without the words that cap_A' drops from cap_A, and with those it adds."""
    before, after = cap_a.replace(",", "").split(), cap_a_prime.replace(",", "").split()
    lost = [word for word in before if word not in after]
    gained = [word for word in after if word not in before]
    kept = [word for word in prompt.replace(",", "").split() if word not in lost]
    return " ".join([*kept, *(word for word in gained if word not in kept)])
