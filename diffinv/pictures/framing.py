"""The part of a picture that a model sees, and whether A and A′ show the same scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageOps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def fit_square(image: Image.Image, side: int) -> Image.Image:
    """The centred square of an RGB picture at ``side`` x ``side`` pixels.

    A picture already of this size keeps its pixels.
    """
    if image.size == (side, side):
        return image.copy()
    return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)


def framing_warning(a: Image.Image, a_prime: Image.Image) -> str | None:
    """One sentence if A and A' differ in shape by more than 1 %, so that cropping both to a square
    shows different parts of the scene."""
    ratios = sorted(image.width / image.height for image in (a, a_prime))
    if ratios[1] <= ratios[0] * 1.01:
        return None
    sizes = " and ".join(f"{image.width} x {image.height}" for image in (a, a_prime))
    return (
        f"The example's pictures differ in shape ({sizes}), so their centred squares may not show "
        "the same part; crop them alike for a better difference."
    )


def unlike_warning(a: Image.Image, a_prime: Image.Image) -> str | None:
    """One sentence if A and A' hardly show the same scene: most pixels differ, and the edges are
    not in the same places. Pictures without edges do not count."""
    import numpy as np

    small = [np.asarray(fit_square(image, 48), dtype=np.float32) / 255 for image in (a, a_prime)]
    changed = float((np.abs(small[0] - small[1]).max(-1) > 0.1).mean())
    edges = [_edges(pixels.mean(-1)) for pixels in small]
    if changed <= 0.5 or min(float(edge.std()) for edge in edges) < 1e-3:
        return None
    alike = float(np.corrcoef(edges[0].ravel(), edges[1].ravel())[0, 1])
    if alike >= 0.3:
        return None
    return (
        "A and A′ are hardly alike, so what is learned may be the whole scene instead of one "
        "change; take two pictures of the same scene."
    )


def _edges(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """How steep a picture is at each pixel."""
    import numpy as np

    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    steepness: NDArray[np.float32] = np.hypot(across, down)
    return steepness
