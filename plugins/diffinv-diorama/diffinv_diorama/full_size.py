"""Analogies on large pictures of any shape: how close B' comes to the truth at B's own size, and
how much of B stays as it was, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image, ImageOps

from diffinv.contracts import DiffTokens
from diffinv.evaluation.scores import psnr
from diffinv.evaluation.statistics import bootstrap
from diffinv.method.application import change_pictures
from diffinv.method.settings import ApplicationSettings, InversionSettings
from diffinv.pictures.blending import Change, blend, mixing_mask
from diffinv.pictures.framing import model_size, to_model
from diffinv.pictures.tensors import to_tensor
from diffinv.running.detail import Detail
from diffinv.running.prompting import Prompt

from .evaluation import Batch, Parts, is_right
from .oracle import read_scenes
from .render import SIZE, render
from .world import Analogy

SCORES = ("right", "right_model", "psnr", "psnr_upscaled", "identical")

OnBatch = Callable[[int, int], None]

_BATCH = 20


@dataclass(frozen=True)
class LargeRow:
    """One analogy. ``right`` and ``psnr`` (dB) are of the result at B's size, ``right_model`` and
    ``psnr_upscaled`` of the model's own picture, plainly enlarged. ``identical`` is the share of
    the pixels that the true change leaves alone which are B's own, nan if it leaves none."""

    kind: str
    right: float
    right_model: float
    psnr: float
    psnr_upscaled: float
    identical: float


def evaluate_large(
    analogies: Sequence[Analogy],
    parts: Parts,
    inversion: InversionSettings,
    application: ApplicationSettings,
    size: tuple[int, int],
    on_batch: OnBatch | None = None,
    detail: bool = False,
) -> list[LargeRow]:
    """A row for each analogy, with pictures of ``size`` (width, height); with ``detail``, what has
    changed is made anew in tiles."""
    rows: list[LargeRow] = []
    at = model_size(size, parts.backbone.resolution, parts.backbone.size_multiple)
    for start in range(0, len(analogies), _BATCH):
        chosen = analogies[start : start + _BATCH]
        batch = Batch(chosen, parts, inversion, application, seed=start)
        pictures = [render(x.b, x.seed_b, *size) for x in chosen]
        seen = [to_model(picture, at) for picture in pictures]
        prompts = batch.prompts(seen, parts.captioner.caption(seen))
        wordings = batch.wordings(seen, prompts)
        changes = change_pictures(
            parts.backbone,
            seen,
            prompts,
            [(batch.tokens, 1.0)],
            parts.editor,
            application,
            wordings=wordings,
        )
        for i, (analogy, picture, change) in enumerate(zip(chosen, pictures, changes, strict=True)):
            result = blend(np.asarray(picture), change)
            if detail:
                tokens = DiffTokens(batch.tokens.values[i : i + 1], batch.tokens.space)
                sharpener = Detail(parts.backbone, [(tokens, 1.0)], application)
                where = np.asarray(mixing_mask(change, picture.size))
                result = sharpener.sharpened(
                    result, where, at, Prompt(prompts[i], wordings[i] if wordings else None)
                )
            rows.append(_row(analogy, picture, change, Image.fromarray(result)))
        if on_batch:
            on_batch(start + len(chosen), len(analogies))
    return rows


def summary(rows: Sequence[LargeRow]) -> dict[str, dict[str, float]]:
    """``<score>.{mean, low, high, n}``."""
    columns = {name: [getattr(row, name) for row in rows] for name in SCORES}
    known = {name: [v for v in values if not np.isnan(v)] for name, values in columns.items()}
    return {name: asdict(bootstrap(values)) for name, values in known.items()}


def _row(analogy: Analogy, b: Image.Image, change: Change, result: Image.Image) -> LargeRow:
    truth = render(analogy.b_prime, analogy.seed_b, *b.size)
    model = Image.fromarray((change.after * 255 + 0.5).astype(np.uint8))
    upscaled = model.resize(b.size, Image.Resampling.BICUBIC)
    kept = (np.asarray(b) == np.asarray(truth)).all(-1)
    same = (np.asarray(b) == np.asarray(result)).all(-1)
    return LargeRow(
        kind=analogy.edit.kind,
        right=_right(analogy, result),
        right_model=_right(analogy, upscaled),
        psnr=psnr(result, truth),
        psnr_upscaled=psnr(upscaled, truth),
        identical=float(same[kept].mean()) if kept.any() else float("nan"),
    )


def _right(analogy: Analogy, image: Image.Image) -> float:
    """Whether the oracle reads the true answer in the square that holds the scene."""
    square = ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.BOX)
    (read,) = read_scenes(to_tensor([square]))
    return is_right(read, analogy.b_prime, analogy.attributes)
