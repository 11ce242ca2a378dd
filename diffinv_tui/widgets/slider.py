"""A slider for strengths: below zero undoes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ..bindings import SLIDER
from ..theme import in_colour

if TYPE_CHECKING:
    from textual.events import MouseDown, MouseMove, MouseUp


MOST = 100.0
"""The largest strength that a slider takes; 2 is already a lot."""
_END, _NUMBER = 2.0, 7
"""The end of a track by default, and how many cells the number has."""


class Slider(Widget, can_focus=True):
    """A number in hundredths, on a track from -2 to 2 that grows if the number is beyond it."""

    HELP = """How strongly a difference is applied.

    - **1** is as learned, **0** leaves the picture alone, **2** is twice as much.
    - **Below zero** the difference is undone.

    Left and right change it by a tenth, with Shift by a hundredth, Page Up and Page Down by a
    half; `0` and Home set it to 0 and 1. **Enter** lets you type any number.
    """
    DEFAULT_CSS = """
    Slider { height: 1; width: 1fr; min-width: 16; }
    """
    BINDINGS: ClassVar[list[BindingType]] = SLIDER

    value: reactive[float] = reactive(1.0)

    class Changed(Message):
        """The value is another one."""

        def __init__(self, slider: Slider, value: float) -> None:
            super().__init__()
            self.slider, self.value = slider, value

    class Typing(Message):
        """Somebody wants to type the value."""

        def __init__(self, slider: Slider) -> None:
            super().__init__()
            self.slider = slider

    def __init__(self, value: float = 1.0, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._dragged = False
        self.set_reactive(Slider.value, self.validate_value(value))

    def validate_value(self, value: float) -> float:
        """In hundredths; without a minus before a zero."""
        return round(min(MOST, max(-MOST, value)), 2) + 0.0

    @property
    def end(self) -> float:
        """Where the track ends, on either side of zero."""
        return max(_END, math.ceil(abs(self.value)))

    def watch_value(self, value: float) -> None:
        """Tell whoever listens."""
        if self.is_mounted:
            self.post_message(self.Changed(self, value))

    def action_change(self, by: float) -> None:
        """A step up or down."""
        self.value += by

    def action_set(self, to: float) -> None:
        """A value straight away."""
        self.value = to

    def action_type(self) -> None:
        """Let it be typed."""
        self.post_message(self.Typing(self))

    def on_mouse_down(self, event: MouseDown) -> None:
        """Take hold of the knob."""
        self._dragged = True
        self.capture_mouse()
        self._follow(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        """Drag the knob."""
        if self._dragged:
            self._follow(event.x)

    def on_mouse_up(self, event: MouseUp) -> None:
        """Let go of it."""
        self._dragged = False
        self.release_mouse()

    def _follow(self, x: int) -> None:
        share = x / max(1, self._track - 1)
        self.value = round((2 * min(1.0, max(0.0, share)) - 1) * self.end, 1)

    @property
    def _track(self) -> int:
        return max(4, self.size.width - _NUMBER)

    def _place(self, value: float) -> int:
        return round((value / self.end + 1) / 2 * (self._track - 1))

    def render(self) -> Text:
        """The track with its zero, the knob, the number."""
        zero, knob = self._place(0), self._place(self.value)
        colour = in_colour(self.app.theme_variables["warning" if self.value < 0 else "primary"])
        grip = "█" if self.has_focus else "●"  # so that it is seen without colours, too
        text = Text(no_wrap=True)
        for x in range(self._track):
            within = min(zero, knob) <= x <= max(zero, knob)
            mark = grip if x == knob else "┼" if x == zero else "━" if within else "─"
            text.append(mark, colour if within else "muted")
        return text.append(f"{_number(self.value):>{_NUMBER}}")


def _number(value: float) -> str:
    """With one decimal, or two where the second says something."""
    text = f"{value:+.2f}".removesuffix("0")
    return text if value else "0.0"
