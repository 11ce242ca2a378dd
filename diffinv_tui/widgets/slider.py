"""A slider for strengths: below zero undoes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ..bindings import SLIDER

if TYPE_CHECKING:
    from textual.events import MouseDown, MouseMove, MouseUp


class Slider(Widget, can_focus=True):
    """A number between -2 and 2, in tenths."""

    HELP = """How strongly a difference is applied.

    - **1** is as learned, **0** leaves the picture alone, **2** is twice as much.
    - **Below zero** the difference is undone.

    Left and right change it by a tenth, Page Up and Page Down by a half; `0` and Home set it
    to 0 and 1.
    """
    DEFAULT_CSS = """
    Slider { height: 1; width: 1fr; min-width: 16; color: $text-muted; }
    Slider:focus { color: $text; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = SLIDER

    value: reactive[float] = reactive(1.0)

    class Changed(Message):
        """The value is another one."""

        def __init__(self, slider: Slider, value: float) -> None:
            super().__init__()
            self.slider, self.value = slider, value

    def __init__(
        self, value: float = 1.0, low: float = -2.0, high: float = 2.0, *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.low, self.high = low, high
        self._dragged = False
        self.set_reactive(Slider.value, self.validate_value(value))

    def validate_value(self, value: float) -> float:
        """In tenths, between the ends."""
        return round(min(self.high, max(self.low, value)) * 10) / 10

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
        self.value = self.low + (self.high - self.low) * min(1.0, max(0.0, share))

    @property
    def _track(self) -> int:
        return max(4, self.size.width - 6)

    def _place(self, value: float) -> int:
        return round((value - self.low) / (self.high - self.low) * (self._track - 1))

    def render(self) -> Text:
        """The track with its zero, the knob, the number."""
        zero, knob = self._place(0), self._place(self.value)
        colour = self.app.theme_variables.get("warning" if self.value < 0 else "primary", "")
        text = Text(no_wrap=True)
        for x in range(self._track):
            within = min(zero, knob) <= x <= max(zero, knob)
            mark = "●" if x == knob else "┼" if x == zero else "━" if within else "─"
            text.append(mark, colour if within else "muted")
        return text.append(f"{self.value:+6.1f}" if self.value else "   0.0")
