"""Analogies with known answers: what each method makes of them, and how often it is right.

For every analogy A : A' :: B : B' the method sees only A, A' and B (and the captioner's words for
them); the oracle then reads the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from diffinv.contracts import (
    Backbone,
    Captioner,
    Conditioning,
    DeltaEncoder,
    DiffTokens,
    Editor,
    Trajectory,
)
from diffinv.evaluation.methods import word_edit
from diffinv.evaluation.scores import clip_directional, psnr
from diffinv.evaluation.statistics import bootstrap
from diffinv.method.application import (
    apply_differences,
    edit_latents,
    extend_all,
    leading_away,
)
from diffinv.method.choosing import choose_wordings
from diffinv.method.deltas import image_delta
from diffinv.method.inversion import InversionResult, Pair, invert
from diffinv.method.prompts import make_prompts
from diffinv.method.settings import ApplicationSettings, InversionSettings
from diffinv.method.word_tokens import with_words
from diffinv.method.words import Vocabulary, Wording
from diffinv.pictures.tensors import to_images, to_tensor

from .captions import caption
from .cases import mistaken
from .oracle import read_scenes
from .render import render
from .world import Analogy, Scene

SCORES = ("edit", "kept", "right", "psnr_true", "psnr_b", "clip_directional")

METHODS = (
    "difference-inversion",
    "tokens-only",
    "words-only",
    "undo",
    "true-caption",
    "caption-arithmetic",
    "word-edit",
    "copy-b",
    "autoencoder",
)

"""``tokens-only`` leaves the words of prompt_B as they are, ``words-only`` exchanges them and uses
no tokens: the two halves of ``difference-inversion``."""

OnBatch = Callable[[int, int], None]


@dataclass(frozen=True)
class Parts:
    """The models an evaluation runs on."""

    backbone: Backbone
    captioner: Captioner
    encoder: DeltaEncoder
    editor: Editor


@dataclass(frozen=True)
class Row:
    """The scores of one method on one analogy."""

    kind: str
    edit: float
    kept: float
    right: float
    psnr_true: float
    psnr_b: float
    clip_directional: float


@dataclass
class Batch:
    """Some analogies, with their pictures and the captioner's words."""

    analogies: Sequence[Analogy]
    parts: Parts
    inversion: InversionSettings
    application: ApplicationSettings
    seed: int
    made: dict[str, list[Image.Image]] = field(default_factory=dict)

    @cached_property
    def a(self) -> list[Image.Image]:
        """A of every analogy."""
        return [render(x.a, x.seed_a) for x in self.analogies]

    @cached_property
    def a_prime(self) -> list[Image.Image]:
        """A' of every analogy."""
        return [
            render(x.a_prime, x.seed_a if x.seed_a_prime is None else x.seed_a_prime)
            for x in self.analogies
        ]

    @cached_property
    def b(self) -> list[Image.Image]:
        """B of every analogy."""
        return [render(x.b, x.seed_b) for x in self.analogies]

    @cached_property
    def b_prime(self) -> list[Image.Image]:
        """The true B' of every analogy."""
        return [render(x.b_prime, x.seed_b) for x in self.analogies]

    @cached_property
    def cap_a(self) -> list[str]:
        """The captions of A."""
        return self._described([x.a for x in self.analogies], self.a, 10)

    @cached_property
    def cap_a_prime(self) -> list[str]:
        """The captions of A'."""
        return self._described([x.a_prime for x in self.analogies], self.a_prime, 11)

    def _described(
        self, scenes: Sequence[Scene], images: Sequence[Image.Image], which: int
    ) -> list[str]:
        """The captioner's words for pictures, or what stands for them in the harder cases."""
        rng = np.random.default_rng([which, self.seed])
        texts = self.parts.captioner.caption(images)
        for i, (analogy, scene) in enumerate(zip(self.analogies, scenes, strict=True)):
            if analogy.captions == "silent":
                texts[i] = "a picture"
            elif analogy.captions == "mistaken":
                texts[i] = caption(mistaken(scene, analogy.attributes, rng), rng)
        return texts

    @cached_property
    def prompt_b(self) -> list[str]:
        """The frozen prompt of B."""
        return self.prompts(self.b, self.parts.captioner.caption(self.b))

    def prompts(self, images: Sequence[Image.Image], captions: Sequence[str]) -> list[str]:
        """The prompt for each picture."""
        prompter = self.inversion.prompter
        return make_prompts(prompter, self.parts.encoder, images, captions, self.seed)

    @cached_property
    def learned(self) -> list[InversionResult]:
        """One difference per analogy, learned from its A and A'."""
        prompts_a = self.prompts(self.a, self.cap_a)
        prompts_a_prime = self.prompts(self.a_prime, self.cap_a_prime)
        columns = (self.a, self.a_prime, self.cap_a, self.cap_a_prime, prompts_a, prompts_a_prime)
        pairs = [[Pair(*values)] for values in zip(*columns, strict=True)]
        return invert(self.parts.backbone, self.parts.encoder, pairs, self.inversion)

    @cached_property
    def tokens(self) -> DiffTokens:
        """The tokens of every difference, [n, k, width]. Raises ValueError if they are words."""
        space = self.inversion.token_space
        if space == "words":
            raise ValueError("words are no vectors of a token space")
        values = torch.stack([result.tokens for result in self.learned])
        return DiffTokens(values.to(self.parts.backbone.device), space)

    def differences(self, strength: float = 1.0) -> list[tuple[DiffTokens, float]]:
        """The tokens with a strength; none if differences are words."""
        return [] if self.inversion.token_space == "words" else [(self.tokens, strength)]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The delta encoder's words."""
        return Vocabulary(self.parts.encoder)

    @cached_property
    def directions(self) -> list[Tensor]:
        """The pictures' own delta of each analogy, a unit vector [d]."""
        encoder = self.parts.encoder
        rows = zip(self.a, self.a_prime, strict=True)
        return [F.normalize(image_delta(encoder, [a], [b]), dim=-1) for a, b in rows]

    def wordings(
        self, images: Sequence[Image.Image], prompts: Sequence[str], sign: int = 1
    ) -> list[Wording] | None:
        """What becomes of the words of each picture's prompt; None where they are left alone."""
        if self.inversion.token_space == "words":
            return self._in_words(prompts, sign)
        if not self.application.reword or self.inversion.token_space == "input":
            return None
        found = self._reworded(prompts, sign)
        differences = self.differences(float(sign))
        return choose_wordings(self.parts.backbone, images, prompts, differences, found)

    def _reworded(self, prompts: Sequence[str], sign: int) -> list[list[Wording]]:
        rows = zip(prompts, self.directions, strict=True)
        return [self.vocabulary.wordings(text, [sign * direction]) for text, direction in rows]

    def _in_words(self, prompts: Sequence[str], sign: int) -> list[Wording]:
        """What becomes of each prompt where differences are words: some of its own are exchanged,
        or, without rewording, theirs are said after them."""
        plain = [[Wording(text, 0.0, ())] for text in prompts]
        found = self._reworded(prompts, sign) if self.application.reword else plain
        told = [(result.words, float(sign)) for result in self.learned if result.words]
        rows = zip(prompts, found, told, strict=True)
        return [
            with_words(text, replace(first, shares=()), [words])
            for text, (first, *_), words in rows
        ]

    @cached_property
    def source(self) -> Conditioning:
        """The conditioning of prompt_B."""
        return self.parts.backbone.encode_prompts(self.prompt_b)

    @cached_property
    def latents(self) -> Tensor:
        """B's latents."""
        return self.parts.backbone.encode_images(to_tensor(self.b).to(self.parts.backbone.device))

    @cached_property
    def path(self) -> Trajectory:
        """B's own trajectory out of noise, the same for every method."""
        backbone, settings = self.parts.backbone, self.application
        empty = backbone.encode_prompts([""] * len(self.b))
        steps, scale = settings.steps, settings.guidance_scale
        return self.parts.editor.trajectory(
            backbone, self.latents, self.source, empty, steps, scale, settings.seed
        )

    def edit(self, target: Conditioning, away: Conditioning | None = None) -> list[Image.Image]:
        """B edited from what prompt_B says to ``target``, away from ``away`` if it is given, with
        the common editor."""
        parts = self.parts
        edited = edit_latents(
            parts.backbone,
            self.latents,
            self.source,
            target,
            parts.editor,
            self.application,
            path=self.path,
            away=away,
        )
        return to_images(parts.backbone.decode(edited))

    def pictures(self, method: str) -> list[Image.Image]:
        """What a method makes of every B. The results are kept, since ``undo`` starts from them."""
        if method not in self.made:
            self.made[method] = _MAKERS[method](self)
        return self.made[method]


def _copy_b(batch: Batch) -> list[Image.Image]:
    return batch.b


def _autoencoder(batch: Batch) -> list[Image.Image]:
    backbone = batch.parts.backbone
    latents = backbone.encode_images(to_tensor(batch.b_prime).to(backbone.device))
    return to_images(backbone.decode(latents))


def _difference_inversion(batch: Batch) -> list[Image.Image]:
    return _applied(batch, batch.wordings(batch.b, batch.prompt_b))


def _tokens_only(batch: Batch) -> list[Image.Image]:
    return _applied(batch, None)


def _applied(batch: Batch, wordings: list[Wording] | None) -> list[Image.Image]:
    backbone, texts = batch.parts.backbone, batch.prompt_b
    target = extend_all(backbone, batch.source, texts, batch.differences(), wordings)
    return batch.edit(target, leading_away(backbone, "", wordings))


def _words_only(batch: Batch) -> list[Image.Image]:
    wordings = batch.wordings(batch.b, batch.prompt_b)
    texts = [one.prompt for one in wordings] if wordings else batch.prompt_b
    return batch.edit(batch.parts.backbone.encode_prompts(texts))


def _undo(batch: Batch) -> list[Image.Image]:
    """-D applied to the results, which are captioned anew."""
    results = batch.pictures("difference-inversion")
    prompts = batch.prompts(results, batch.parts.captioner.caption(results))
    return apply_differences(
        batch.parts.backbone,
        results,
        prompts,
        batch.differences(-1.0),
        batch.parts.editor,
        batch.application,
        wordings=batch.wordings(results, prompts, -1),
    )


def _true_caption(batch: Batch) -> list[Image.Image]:
    rng = np.random.default_rng([8, batch.seed])
    texts = [caption(x.b_prime, rng) for x in batch.analogies]
    return batch.edit(batch.parts.backbone.encode_prompts(texts))


def _caption_arithmetic(batch: Batch) -> list[Image.Image]:
    """hidden(prompt_B) + hidden(cap_A') - hidden(cap_A), position by position."""
    encode = batch.parts.backbone.encode_prompts
    delta = encode(batch.cap_a_prime).prompt_embeds - encode(batch.cap_a).prompt_embeds
    return batch.edit(Conditioning(batch.source.prompt_embeds + delta, batch.source.extra))


def _word_edit(batch: Batch) -> list[Image.Image]:
    rows = zip(batch.prompt_b, batch.cap_a, batch.cap_a_prime, strict=True)
    texts = [word_edit(*row) for row in rows]
    return batch.edit(batch.parts.backbone.encode_prompts(texts))


_MAKERS: dict[str, Callable[[Batch], list[Image.Image]]] = {
    "difference-inversion": _difference_inversion,
    "tokens-only": _tokens_only,
    "words-only": _words_only,
    "undo": _undo,
    "true-caption": _true_caption,
    "caption-arithmetic": _caption_arithmetic,
    "word-edit": _word_edit,
    "copy-b": _copy_b,
    "autoencoder": _autoencoder,
}


def score(batch: Batch, method: str) -> list[Row]:
    """Scores from the oracle and the pictures. For ``undo`` the true answer is B itself."""
    results = batch.pictures(method)
    undo = method == "undo"
    start = batch.pictures("difference-inversion") if undo else batch.b
    truth = batch.b if undo else batch.b_prime
    a, a_prime = (batch.a_prime, batch.a) if undo else (batch.a, batch.a_prime)
    read = read_scenes(to_tensor(results))
    directional = clip_directional(batch.parts.encoder, a, a_prime, start, results)
    rows = []
    for i, analogy in enumerate(batch.analogies):
        target = analogy.b if undo else analogy.b_prime
        made, kept = _verdict(read[i], target, analogy.attributes)
        rows.append(
            Row(
                kind=analogy.edit.kind,
                edit=float(made),
                kept=float(kept),
                right=float(made and kept),
                psnr_true=psnr(results[i], truth[i]),
                psnr_b=psnr(results[i], batch.b[i]),
                clip_directional=directional[i],
            )
        )
    return rows


def _verdict(read: Scene, target: Scene, attributes: Sequence[str]) -> tuple[bool, bool]:
    """(whether the edited attributes are as in the target, whether all others are)."""
    restored = read
    for name in attributes:
        restored = restored.with_value(name, getattr(target, name))
    return all(getattr(read, n) == getattr(target, n) for n in attributes), restored == target


def is_right(read: Scene, target: Scene, attributes: Sequence[str]) -> float:
    """1 if the edited attributes and all others are as in the target, else 0."""
    return float(all(_verdict(read, target, attributes)))


def evaluate(
    analogies: Sequence[Analogy],
    parts: Parts,
    inversion: InversionSettings,
    application: ApplicationSettings,
    methods: Sequence[str] = METHODS,
    batch_size: int = 20,
    on_batch: OnBatch | None = None,
) -> dict[str, list[Row]]:
    """Every method's rows, in the order of the analogies."""
    rows: dict[str, list[Row]] = {method: [] for method in methods}
    for start in range(0, len(analogies), batch_size):
        chosen = analogies[start : start + batch_size]
        batch = Batch(chosen, parts, inversion, application, seed=start)
        for method in methods:
            rows[method] += score(batch, method)
        if on_batch:
            on_batch(start + len(chosen), len(analogies))
    return rows


def summary(rows: dict[str, list[Row]]) -> dict[str, object]:
    """``methods.<id>.<score>.{mean, low, high, n}`` and the same per type under ``edits``."""
    kinds = sorted({row.kind for method in rows.values() for row in method})
    return {
        "methods": {method: _estimates(of) for method, of in rows.items()},
        "edits": {
            kind: {
                method: _estimates([row for row in of if row.kind == kind])
                for method, of in rows.items()
            }
            for kind in kinds
        },
    }


def _estimates(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    return {name: asdict(bootstrap([getattr(row, name) for row in rows])) for name in SCORES}
