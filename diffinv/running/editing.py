"""What happens to a B: it is framed, given a prompt, and denoised with the differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

from ..errors import DiffinvError, UsageError
from ..pictures.framing import to_model
from ..system.text import plural
from .detail import Detail
from .progress import Meter
from .prompting import Draft, Prompt, wordings_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, DiffTokens, Editor, TokenSpace
    from ..difference import Difference
    from ..method.settings import ApplicationSettings
    from ..pictures.blending import Change
    from ..pictures.framing import Size
    from .prompting import Prompting


T = TypeVar("T")


def batch_size(count: int, at_most: int) -> int:
    """How many of ``count`` pictures to process at once, so that the batches are alike."""
    return math.ceil(count / math.ceil(count / at_most)) if count else 1


def batches(
    left: Sequence[Size], everything: Sequence[Size], at_most: int
) -> list[tuple[list[int], int]]:
    """The places in ``left`` of the pictures to compute at once, with the size of their batch.

    Only pictures of one size go together. The batch's size follows from ``everything`` the request
    is about, so that what is left of an interrupted one is cut as it was.
    """
    found = []
    for size in dict.fromkeys(left):
        places = [i for i, one in enumerate(left) if one == size]
        batch = batch_size(everything.count(size), at_most)
        found += [(places[i : i + batch], batch) for i in range(0, len(places), batch)]
    return found


class Editing:
    """Differences with strengths, ready to be applied to any number of pictures.

    If memory runs out, the number of pictures processed at once is halved, once. Raises
    DiffinvError if a difference was learned on another model.
    """

    def __init__(
        self,
        backbone: Backbone,
        editor: Editor,
        differences: Sequence[tuple[Difference, float]],
        settings: ApplicationSettings,
        meter: Meter,
    ) -> None:
        vectors = [row for row in differences if not row[0].info.is_words]
        for difference, _ in vectors:
            difference.check_backbone(backbone.id, backbone.weights_id)
        self.backbone, self._editor, self.settings = backbone, editor, settings
        self.tokens = [(_tokens(d, backbone), strength) for d, strength in vectors]
        self._limit: int | None = None
        self._meter = meter

    def seen(self, image: Image) -> Image:
        """B as the backbone sees it."""
        return to_model(image, self.seen_size(image.size))

    def seen_size(self, size: Size) -> Size:
        """The size at which the backbone sees a picture of a size."""
        from ..method import answers

        return answers.seen_size(self.backbone, size)

    def apply(
        self,
        done: int,
        images: Sequence[Image],
        given: Sequence[str | None],
        prompting: Prompting,
        batch: int,
        masks: Sequence[Image] | None = None,
    ) -> tuple[list[Change], list[Prompt]]:
        """What is changed in each B, all of them as the backbone sees them, of one size; and the
        prompts.

        ``batch`` are computed at once, filled up with copies of the last if there are fewer: a
        result's last bits depend on how many are computed together, but not on which. ``done`` are
        the batches before this one, ``given`` the prompts, None where one has to be made; ``masks``
        (grey, white where B may change) narrow the difference's mask.
        """
        import torch

        steps = self.settings.steps

        def on_step(step: int, total: int) -> None:
            """Some editors take fewer steps than were asked for; a batch counts as all of them."""
            self._meter.step(done * steps + step * steps // max(1, total))

        count = len(images)
        images, masks = _full(images, batch), masks and _full(masks, batch)
        drafts = prompting.drafts(prompting.complete(images, given)[:count])
        while True:
            at_once = self.at_once(batch)
            try:
                said = self._chosen(images, drafts)
                full = _full(said, batch)
                changes = [
                    change
                    for start in range(0, count, at_once)
                    for change in self._at(
                        slice(start, start + at_once), images, full, on_step, masks
                    )
                ]
                return changes[:count], said
            except torch.OutOfMemoryError as error:
                self._halve(at_once, error)

    def _chosen(self, images: Sequence[Image], drafts: Sequence[Draft]) -> list[Prompt]:
        """The prompts, each with the one of its wordings that the denoiser understands."""
        from ..method.choosing import choose_wordings

        texts, candidates = [d.text for d in drafts], [d.candidates for d in drafts]
        if not all(candidates):
            return [Prompt(text) for text in texts]
        seen = images[: len(drafts)]
        chosen = choose_wordings(self.backbone, seen, texts, self.tokens, candidates)
        return [Prompt(text, wording) for text, wording in zip(texts, chosen, strict=True)]

    @property
    def detail(self) -> Detail:
        """What sharpens the results. Raises UsageError if the backbone knows whole pictures alone:
        on the embedded world tiles take 5 dB away (``diffinv evaluate diorama --tiles``)."""
        takes_any = getattr(self.backbone, "size_multiple", None) is not None
        if not takes_any or not getattr(self.backbone, "knows_parts", True):
            raise UsageError(
                f"The backbone {self.backbone.id!r} knows whole pictures alone, and would make "
                "parts of them worse; leave --detail off."
            )
        return Detail(self.backbone, self.tokens, self.settings)

    def at_once(self, batch: int) -> int:
        """How many of a batch are computed together, by what is known of the memory."""
        return min(batch, self._limit or batch)

    def _at(
        self,
        rows: slice,
        images: Sequence[Image],
        said: Sequence[Prompt],
        on_step: Callable[[int, int], None],
        masks: Sequence[Image] | None,
    ) -> list[Change]:
        from ..method.application import change_pictures

        allowed = None if masks is None else self._allowed(masks[rows])
        return change_pictures(
            self.backbone,
            images[rows],
            [prompt.text for prompt in said[rows]],
            self.tokens,
            self._editor,
            self.settings,
            on_step,
            allowed,
            wordings_of(said[rows]),
        )

    def _allowed(self, masks: Sequence[Image]) -> Tensor:
        from ..pictures.tensors import masks_to_tensor

        return masks_to_tensor(masks).to(self.backbone.device)

    def _halve(self, tried: int, error: Exception) -> None:
        device = self.backbone.device
        if tried == 1 or self._limit:
            raise DiffinvError(
                f"{device} ran out of memory with {plural(tried, 'picture')} at once; use "
                "--memory low, close other programs or choose a smaller backbone."
            ) from error
        self._limit = tried // 2
        fewer = plural(self._limit, "picture")
        self._meter.warn(f"{device} ran out of memory: now {fewer} at once.")


def _full(values: Sequence[T], batch: int) -> list[T]:
    return [*values, *[values[-1]] * (-len(values) % batch)]


def _tokens(difference: Difference, backbone: Backbone) -> DiffTokens:
    import torch

    from ..contracts import DiffTokens

    values = torch.from_numpy(difference.tokens.copy())[None].float()
    space = cast("TokenSpace", difference.info.token_space)
    tokens = DiffTokens(values.to(backbone.device), space)
    if difference.pooled is None:
        return tokens
    pooled = torch.from_numpy(difference.pooled.copy())[None].to(backbone.device)
    return replace(tokens, pooled=pooled)
