"""A second pass over what changed, at the picture's own size, so that what is new is sharp too."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..pictures.tiles import tiles
from .prompting import Prompt, wordings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..contracts import Backbone, DiffTokens
    from ..method.settings import ApplicationSettings
    from ..pictures.framing import Size
    from ..pictures.tiles import Bytes

SHARE = 0.35
"""How far a tile is noised: enough to make edges anew, too little to move what is there."""

_LEAST_SCALE = 1.2
"""A picture that is hardly larger than the model's own has no more detail to be had."""


@dataclass(frozen=True)
class Detail:
    """Sharpens results of differences with strengths."""

    backbone: Backbone
    differences: Sequence[tuple[DiffTokens, float]]
    settings: ApplicationSettings

    def sharpened(self, picture: Bytes, mask: Bytes, seen: Size, prompt: Prompt) -> Bytes:
        """A picture [H, W, 3] with what ``mask`` [H, W] says has changed made anew in tiles, each
        as large as ``seen``, the size at which the model saw the whole. Where the mask is 0
        nothing changes. A tile sees what those before it have made."""
        if max(picture.shape[1] / seen[0], picture.shape[0] / seen[1]) < _LEAST_SCALE:
            return picture
        result = picture.copy()
        size = min(seen[0], picture.shape[1]), min(seen[1], picture.shape[0])
        for down, across, weight in tiles(mask, size):
            tile = result[down, across].astype(np.float32) / 255
            change = self._change(Image.fromarray(result[down, across]), seen, prompt)
            new = tile + weight[..., None] * change
            result[down, across] = (new.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        return result

    def _change(self, tile: Image.Image, seen: Size, prompt: Prompt) -> NDArray[np.float32]:
        """What a little noise and the prompt with the differences make of a tile, beside the
        model's own reconstruction of it."""
        from ..method.application import change_pictures
        from ..method.editors import SDEdit
        from ..pictures.framing import to_model

        settings = replace(self.settings, mask=False)
        (change,) = change_pictures(
            self.backbone,
            [to_model(tile, seen)],
            [prompt.text],
            self.differences,
            SDEdit(SHARE),
            settings,
            wordings=wordings_of([prompt]),
        )
        delta = change.after - change.before
        if (delta.shape[1], delta.shape[0]) == tile.size:
            return delta
        planes = [Image.fromarray(delta[..., i]).resize(tile.size) for i in range(3)]
        return np.stack([np.asarray(plane) for plane in planes], -1)
