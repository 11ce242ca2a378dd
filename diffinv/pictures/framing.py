"""The size at which a model sees a picture, and whether A and A′ show the same scene."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Size = tuple[int, int]
"""Width and height in pixels."""


def model_size(size: Size, resolution: int, multiple: int | None) -> Size:
    """The size at which a model sees a picture, all of it.

    A model that takes any sides that are multiples of ``multiple`` sees it at its own shape, with
    about ``resolution`` squared pixels; one that takes squares alone (None) sees it drawn out or
    in to a square. On the embedded world that is better than filling it up by reflection: at 3:2
    .80 right instead of .37, at 2:3 .53 instead of .32 (60 analogies).
    """
    if multiple is None:
        return resolution, resolution
    scale = resolution / math.sqrt(size[0] * size[1])
    width, height = (max(1, round(side * scale / multiple)) * multiple for side in size)
    return width, height


def to_model(image: Image.Image, size: Size) -> Image.Image:
    """A picture (RGB or L) as a model sees it. One already of that size keeps its pixels."""
    return image.copy() if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def of_shape(image: Image.Image, size: Size) -> Image.Image:
    """The centred part of a picture that has the shape of another; all of it if they are alike."""
    width, height = size
    if abs(image.width * height - image.height * width) <= 0.01 * image.width * height:
        return image
    scale = min(image.width / width, image.height / height)
    part = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (image.width - part[0]) // 2, (image.height - part[1]) // 2
    return image.crop((left, top, left + part[0], top + part[1]))


def framing_warning(a: Image.Image, a_prime: Image.Image) -> str | None:
    """One sentence if A and A' differ in shape by more than 1 %, so that A' is cropped to the shape
    of A and may show another part of the scene."""
    ratios = sorted(image.width / image.height for image in (a, a_prime))
    if ratios[1] <= ratios[0] * 1.01:
        return None
    sizes = " and ".join(f"{image.width} x {image.height}" for image in (a, a_prime))
    return (
        f"The example's pictures differ in shape ({sizes}), so only the middle of A′ is used, "
        "which may not show the same part; crop them alike for a better difference."
    )


def unlike_warning(a: Image.Image, a_prime: Image.Image) -> str | None:
    """One sentence if A and A' hardly show the same scene: most pixels differ, and the edges are
    not in the same places. Pictures without edges do not count."""
    import numpy as np

    small = [
        np.asarray(to_model(image, (48, 48)), dtype=np.float32) / 255 for image in (a, a_prime)
    ]
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
