"""One picture at several strengths, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive

from ..bindings import STRIP
from ..trying import Step
from .difference_view import Figure

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual.app import ComposeResult
    from textual.events import Click


class StrengthStrip(Horizontal, can_focus=True):
    """Results at strengths, of which one is chosen."""

    HELP = """The picture at several strengths.

    **Left** and **right** choose one, which is shown large above. **Enter** takes its strength into
    the sliders.
    """
    BINDINGS: ClassVar[list[BindingType]] = STRIP

    cursor: reactive[int] = reactive(0, init=False)

    class Moved(Message):
        """Another strength is looked at."""

    class Taken(Message):
        """The strength is to be used."""

        def __init__(self, strength: float) -> None:
            super().__init__()
            self.strength = strength

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.steps: list[Step] = []

    def compose(self) -> ComposeResult:
        """A place for each strength."""
        for _ in range(self._count):
            yield Figure("", "strength")

    def show(self, steps: Sequence[Step], images: Sequence[Image | None]) -> None:
        """Show results, with the cursor where the sliders stand if it was nowhere yet."""
        first, self.steps = not self.steps, list(steps)
        if first:
            self.set_reactive(StrengthStrip.cursor, _nearest(self.steps))
        for figure, step, image in zip(self.query(Figure), steps, images, strict=True):
            figure.label(f"{'● ' if step.is_set else ''}{step.strength:+g}")
            figure.show(image, step.message or " ")
        self._mark()

    def on_resize(self) -> None:
        """All in one size."""
        for figure in self.query(Figure):
            figure.styles.width = self.size.width // self._count

    def clear(self) -> None:
        """Nothing is known of the picture."""
        self.steps = []

    @property
    def current(self) -> Step | None:
        """What is looked at: the step under the cursor while the strip has the focus."""
        return self.steps[self.cursor] if self.has_focus and self.steps else None

    def watch_cursor(self) -> None:
        """Show where it is."""
        self._mark()
        self.post_message(self.Moved())

    def _mark(self) -> None:
        for index, figure in enumerate(self.query(Figure)):
            figure.set_class(index == self.cursor, "-cursor")

    def on_focus(self) -> None:
        """What is under the cursor is looked at from now on."""
        self.post_message(self.Moved())

    def on_blur(self) -> None:
        """No longer."""
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """To a neighbour."""
        self.cursor = min(max(0, self.cursor + by), self._count - 1)

    def action_take(self) -> None:
        """Use this strength."""
        if self.current:
            self.post_message(self.Taken(self.current.strength))

    def on_click(self, event: Click) -> None:
        """A click chooses, a second one takes."""
        for index, figure in enumerate(self.query(Figure)):
            if event.widget is not None and figure in event.widget.ancestors_with_self:
                self.focus()
                self.cursor = index
        if event.chain == 2:
            self.action_take()


def _nearest(steps: Sequence[Step]) -> int:
    """Where the sliders stand, else 1."""
    places = [index for index, step in enumerate(steps) if step.is_set]
    return places[0] if places else min(range(len(steps)), key=lambda i: abs(steps[i].strength - 1))
