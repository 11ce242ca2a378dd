"""What happens to a B: it is framed, given a prompt, and denoised with the differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from ..errors import DiffinvError
from ..pictures.framing import fit_square
from ..system.text import plural
from .progress import Meter

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, DiffTokens, Editor, TokenSpace
    from ..difference import Difference
    from ..method.settings import ApplicationSettings
    from .prompting import Prompting


T = TypeVar("T")


def batch_size(count: int, at_most: int) -> int:
    """How many of ``count`` pictures to process at once, so that the batches are alike."""
    return math.ceil(count / math.ceil(count / at_most)) if count else 1


class Editing:
    """Differences with strengths, ready to be applied to any number of pictures.

    ``batch`` pictures are processed at once; if memory runs out, that number is halved, once.
    Raises DiffinvError if a difference was learned on another model.
    """

    def __init__(
        self,
        backbone: Backbone,
        editor: Editor,
        differences: Sequence[tuple[Difference, float]],
        settings: ApplicationSettings,
        batch: int,
        meter: Meter,
    ) -> None:
        for difference, _ in differences:
            difference.check_backbone(backbone.id, backbone.weights_id)
        self.backbone, self._editor, self._settings = backbone, editor, settings
        self.tokens = [(_tokens(d, backbone), strength) for d, strength in differences]
        self._at_once, self._halved, self._meter = max(1, batch), False, meter

    def frame(self, image: Image) -> Image:
        """B framed for the backbone."""
        return fit_square(image, self.backbone.resolution)

    def apply(
        self,
        index: int,
        images: Sequence[Image],
        given: Sequence[str | None],
        prompting: Prompting,
        masks: Sequence[Image] | None = None,
    ) -> list[Image]:
        """B′ for each framed B of the batch ``index``. ``given`` are the prompts, None where one
        has to be made; ``masks`` (grey, framed, white where B may change) narrow the difference's
        mask."""
        import torch

        steps = self._settings.steps

        def on_step(step: int, total: int) -> None:
            """Some editors take fewer steps than were asked for; a batch counts as all of them."""
            self._meter.step(index * steps + step * steps // max(1, total))

        count = len(images)
        images, masks = self._full(images), masks and self._full(masks)
        prompts = self._full(prompting.complete(images, given))
        while True:
            try:
                return [
                    result
                    for start in range(0, count, self._at_once)
                    for result in self._at(
                        slice(start, start + self._at_once), images, prompts, on_step, masks
                    )
                ][:count]
            except torch.OutOfMemoryError as error:
                self._halve(self._at_once, error)

    def _full(self, values: Sequence[T]) -> list[T]:
        """Filled up with the last one to whole batches: a picture's last bits depend on how many
        are computed at once, but not on which."""
        return [*values, *[values[-1]] * (-len(values) % self._at_once)]

    def _at(
        self,
        rows: slice,
        images: Sequence[Image],
        prompts: Sequence[str],
        on_step: Callable[[int, int], None],
        masks: Sequence[Image] | None,
    ) -> list[Image]:
        from ..method.application import apply_differences

        allowed = None if masks is None else self._allowed(masks[rows])
        return apply_differences(
            self.backbone,
            images[rows],
            prompts[rows],
            self.tokens,
            self._editor,
            self._settings,
            on_step,
            allowed,
        )

    def _allowed(self, masks: Sequence[Image]) -> Tensor:
        from ..pictures.tensors import masks_to_tensor

        return masks_to_tensor(masks).to(self.backbone.device)

    def _halve(self, tried: int, error: Exception) -> None:
        device = self.backbone.device
        if tried == 1 or self._halved:
            raise DiffinvError(
                f"{device} ran out of memory with {plural(tried, 'picture')} at once; use "
                "--memory low, close other programs or choose a smaller backbone."
            ) from error
        self._halved, self._at_once = True, tried // 2
        fewer = plural(self._at_once, "picture")
        self._meter.warn(f"{device} ran out of memory: now {fewer} at once.")


def _tokens(difference: Difference, backbone: Backbone) -> DiffTokens:
    import torch

    from ..contracts import DiffTokens

    values = torch.from_numpy(difference.tokens.copy())[None].float()
    space = cast("TokenSpace", difference.info.token_space)
    return DiffTokens(values.to(backbone.device), space)
