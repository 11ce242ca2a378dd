"""A window that asks for a checkpoint of the user's own, and looks at it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static
from textual_fspicker.suggest_path import SuggestPath

from diffinv.errors import DiffinvError
from diffinv.plugins.model_states import checked_weights

from ..bindings import CHECKPOINT
from ..folders import Kind
from ..formatting import plain, tilde
from ..messages import tell
from ..widgets.footer import KeyLine
from .base import Dialog
from .pickers import Picker

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.contracts import Spec

_HINT = (
    "The path of a folder or a .safetensors file (→ completes it), or the id of a model at the hub "
    "that is here. It stays where it is."
)


_FILES = Kind("checkpoint", lambda name: name.endswith(".safetensors"))
_FOLDERS = replace(_FILES, folders=True)


class OwnCheckpoint(Dialog[str | None]):
    """Asks until it is told something that the part can use. Dismissed with that."""

    BINDINGS: ClassVar[list[BindingType]] = CHECKPOINT

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self._spec = spec

    def compose(self) -> ComposeResult:
        """The line, and what is said about it."""
        with Vertical(classes="dialog"):
            title = f"Use a checkpoint of your own as {self._spec.title}"
            yield Static(plain(title, "bold", 120))
            yield Input(placeholder="~/models/mine.safetensors", suggester=SuggestPath())
            yield Static(plain(self._spec.description, limit=300))
            yield Static(plain(_HINT, "muted"), id="said")
        yield KeyLine()

    @on(Input.Submitted)
    def _asked(self, event: Input.Submitted) -> None:
        if text := event.value.strip():
            self.query_one("#said", Static).update(Text("Looking at it…", "muted"))
            self._look(text)

    @work(thread=True, exclusive=True, group="checkpoint")
    def _look(self, text: str) -> None:
        try:
            weights = checked_weights(self._spec, text)
        except DiffinvError as error:
            tell(self.app, self._refuse, error.neutral)
            return
        tell(self.app, self._take, weights)

    def _refuse(self, problem: str) -> None:
        if self.is_attached:
            self.query_one("#said", Static).update(plain(tilde(problem), "bad", 600))

    def _take(self, weights: str) -> None:
        if self.is_current:
            self.dismiss(weights)

    def action_pick(self) -> None:
        """Choose a folder."""
        self._ask(_FOLDERS, "The checkpoint's folder")

    def action_pick_file(self) -> None:
        """Choose a file."""
        self._ask(_FILES, "The checkpoint's file")

    def _ask(self, kind: Kind, title: str) -> None:
        def take(paths: list[Path] | None) -> None:
            if paths:
                self.query_one(Input).value = str(paths[0])
                self.query_one(Input).focus()

        self.app.push_screen(Picker(Path.cwd(), title, kind), take)
