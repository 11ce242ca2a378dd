"""Progress on stderr: a bar in a terminal, else one plain line per phase."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from ..running.progress import Progress
from ..system.text import readable, text_safe
from .output import complain

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class ProgressDisplay:
    """``with ProgressDisplay() as show: run(request, show)``."""

    def __init__(self) -> None:
        self._bars = _bars() if sys.stderr.isatty() else None
        self._task: TaskID | None = None
        self._phase = ""

    def __enter__(self) -> ProgressDisplay:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()

    def __call__(self, event: Progress, figures: str | None = None) -> None:
        """Show one event, with figures other than its own where some are given."""
        if event.note:
            self._note(event.note)
            return
        if event.warning:
            self._warn(event.warning)
        elif self._bars:
            self._draw(self._bars, event, _figures(event) if figures is None else figures)
        elif event.phase != self._phase:
            complain(event.phase)
        self._phase = event.phase

    def _warn(self, warning: str) -> None:
        if not self._bars:
            complain(f"Warning: {warning}")
            return
        from rich.text import Text

        self._bars.console.print(Text(text_safe(f"Warning: {warning}"), style="yellow"))

    def _note(self, note: str) -> None:
        if self._bars:
            self._bars.console.print(text_safe(note), markup=False)
        else:
            complain(note)

    def _draw(self, bars: Bars, event: Progress, figures: str) -> None:
        if self._task is None or event.phase != self._phase:
            self._finish(bars)
            self._task = bars.add_task(text_safe(event.phase), total=None, figures="")
        bars.update(
            self._task,
            total=event.total or None,
            completed=event.step,
            figures=figures,
        )

    def _finish(self, bars: Bars) -> None:
        if self._task is not None:
            total = bars.tasks[-1].total or 1
            bars.update(self._task, total=total, completed=total)


def _figures(event: Progress) -> str:
    if event.is_bytes:
        rate = f"{readable(event.rate)}/s" if event.rate else ""
        return "  ".join(filter(None, [f"{readable(event.step)} of {readable(event.total)}", rate]))
    parts = [f"{event.step}/{event.total}"] if event.total else []
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4f}")
    if event.rate is not None:
        parts.append(f"{event.rate:.1f} it/s")
    if event.eta is not None:
        parts.append(f"{event.eta:.0f} s left")
    return "  ".join(parts)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bars

    return Bars(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=Console(stderr=True, highlight=False),
    )
