"""Scores of a run's answers: of direction, of what was kept, and of truth where it is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DiffinvError
from ..pictures.framing import of_shape, to_model
from ..pictures.reading import open_image
from ..pictures.tensors import to_tensor
from ..plugins.checking import describe
from .scores import clip_directional, psnr

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..contracts import DeltaEncoder, Triplet
    from .answering import Answer
    from .runs import Run

Scores = dict[str, float]

_SAME = 8
"""A pixel of the true B' that differs by less than this (of 255) from B is outside the change."""


class LPIPS:
    """Zhang et al.'s learned distance of two pictures, by torchmetrics. It needs torchvision, and
    the weights of AlexNet, which torchvision fetches once. Raises DiffinvError without them."""

    def __init__(self) -> None:
        try:
            from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

            self._metric = LearnedPerceptualImagePatchSimilarity(net_type="alex")
        except Exception as error:
            raise DiffinvError(
                f"LPIPS cannot be measured: {describe(error)}; it needs diffinv[evaluate], "
                "torchvision, and the network once for AlexNet's weights."
            ) from error

    def __call__(self, image: Image, reference: Image) -> float:
        """From 0, the same, up; of RGB pictures of one size."""
        one, other = (to_tensor([x]) for x in (image, reference))
        return float(self._metric(one, other))


def score_run(
    run: Run, encoders: Mapping[str, DeltaEncoder], lpips: LPIPS | None = None
) -> dict[str, list[Scores]]:
    """For every column the scores of its answers, in the order of the triplets; an answer that is
    missing has none."""
    found: dict[str, list[Scores]] = {column.name: [] for column in run.columns}
    for entry in run.data.entries:
        triplet = None
        for column, rows in found.items():
            place = run.picture_of(column, entry.id)
            answer = run.answers.get((column, entry.id))
            if answer is None or answer.error or not place.is_file():
                rows.append({})
                continue
            triplet = triplet or entry.open()
            image = open_image(place)
            scores = score_answer(triplet, image, encoders, lpips)
            if run.data.world:
                scores |= run.data.world.judge(triplet, [image])[0]
            rows.append(scores | _cost(answer))
    return found


def _cost(answer: Answer) -> Scores:
    cost = {"seconds": answer.seconds, "evaluations": float(answer.evaluations)}
    return cost if answer.peak_gb is None else cost | {"peak_gb": answer.peak_gb}


def score_answer(
    triplet: Triplet,
    answer: Image,
    encoders: Mapping[str, DeltaEncoder],
    lpips: LPIPS | None = None,
) -> Scores:
    """``directional_ID`` in [-1, 1] for each encoder, and ``directional01_ID``, (1 + cos) / 2, as
    the paper's DINO-v2 column looks; ``psnr_b``, ``ssim_b`` and ``lpips_b`` against B; with a true
    B', ``psnr_true`` and ``psnr_outside`` the change (dB, 99 if equal). Pictures are compared at
    the answer's size; of another shape, by their middle."""
    size = answer.size
    b = to_model(of_shape(triplet.b, size), size)
    scores = {
        f"directional_{id}": clip_directional(
            encoder, [triplet.a], [triplet.a_prime], [b], [answer]
        )[0]
        for id, encoder in encoders.items()
    }
    scores |= {f"directional01_{id}": (1 + scores[f"directional_{id}"]) / 2 for id in encoders}
    scores |= {"psnr_b": psnr(answer, b), "ssim_b": ssim(answer, b)}
    if lpips:
        scores["lpips_b"] = lpips(answer, b)
    if triplet.b_prime is not None:
        truth = to_model(of_shape(triplet.b_prime, size), size)
        scores["psnr_true"] = psnr(answer, truth)
        scores["psnr_outside"] = psnr_outside(answer, b, truth)
    return scores


def psnr_outside(answer: Image, b: Image, truth: Image) -> float:
    """PSNR of the answer to B where the true B' is like B; NaN if it is like it nowhere."""
    one, before, after = (np.asarray(x, dtype=np.float64) for x in (answer, b, truth))
    same = np.abs(after - before).max(axis=-1) < _SAME
    if not same.any():
        return math.nan
    mse = float(((one - before)[same] ** 2).mean())
    return 99.0 if mse == 0 else float(10 * np.log10(255**2 / mse))


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity in [-1, 1]; NaN without torchmetrics (the extra ``evaluate``)."""
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError:
        return math.nan
    one, other = (to_tensor([x]) for x in (image, reference))
    found = structural_similarity_index_measure(one, other, data_range=2.0)
    assert not isinstance(found, tuple)
    return float(found)
