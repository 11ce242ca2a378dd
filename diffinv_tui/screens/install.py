"""A window that installs a plugin: what, what would change, and pip at work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Footer, Input, Log, Static
from textual_fspicker.suggest_path import SuggestPath

from diffinv.errors import DiffinvError
from diffinv.plugins import installing as pip

from ..bindings import INSTALL
from ..formatting import plain, tilde
from ..messages import tell
from .base import Dialog
from .pickers import pick_folder

if TYPE_CHECKING:
    from textual.app import ComposeResult

_HINT = (
    "The name of a package, or the path of a folder or a wheel (→ completes it). "
    "Nothing is installed before you have seen what would change."
)
_BUILD = (
    "To show what would change, pip builds the folder, which runs the build code in it. "
    "Enter again runs it."
)


class InstallPlugin(Dialog[bool]):
    """Asks, shows, installs. Dismissed with whether something was installed."""

    BINDINGS: ClassVar[list[BindingType]] = INSTALL

    def __init__(self) -> None:
        super().__init__()
        self._target = ""
        self._agreeable = False
        self._installed = False
        self._busy = False
        self._allowed = ""
        """What may run its build code."""

    def compose(self) -> ComposeResult:
        """The line, what is said about it, what pip says."""
        with Vertical(classes="dialog"):
            yield Static("Install a plugin", classes="view-title")
            yield Input(placeholder="diffinv-mine, or ./my-plugin", suggester=SuggestPath())
            yield Static(plain(_HINT, "muted"), id="said")
            yield Log(id="heard")
        yield Footer()

    def on_mount(self) -> None:
        """Nothing has been heard yet."""
        super().on_mount()
        self.query_one(Log).display = False
        self.query_one(Input).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer offers what can be done at this point."""
        if action == "install":
            return self._agreeable and not self._busy
        return action != "pick" or not (self._busy or self._installed)

    def _say(self, text: Text, busy: bool = False, agreeable: bool = False) -> None:
        if self.is_attached:
            self._busy, self._agreeable = busy, agreeable
            self.query_one("#said", Static).update(text)
            self.query_one(Input).disabled = busy or self._installed or agreeable
            self.refresh_bindings()

    def _refuse(self, problem: str) -> None:
        self._say(plain(tilde(problem), "bad", 600))
        if self.is_attached:
            self.query_one(Input).focus()

    # What would change

    @on(Input.Submitted)
    def _asked(self, event: Input.Submitted) -> None:
        what = event.value.strip()
        if what and self._may_run(what):
            self._say(Text("Asking pip what would change…", "muted"), busy=True)
            self._plan(what)

    def _may_run(self, what: str) -> bool:
        """Whether the user has agreed to what finding out takes."""
        try:
            if not pip.runs_code(pip.parse_target(what)) or self._allowed == what:
                return True
        except DiffinvError as error:
            self._refuse(error.neutral)
            return False
        self._allowed = what
        self._say(plain(_BUILD, "warn"))
        return False

    @work(thread=True, group="pip")
    def _plan(self, what: str) -> None:
        try:
            self._target = pip.parse_target(what)
            changes = pip.plan(self._target)
            pip.refuse_guarded(what, changes)
        except DiffinvError as error:
            tell(self.app, self._refuse, error.neutral)
            return
        tell(self.app, self._offer, changes)

    def _offer(self, changes: Sequence[pip.Change]) -> None:
        if not changes:
            self._refuse("Nothing would change: all of it is installed.")
            return
        self._say(_offered(changes), agreeable=True)
        self.set_focus(None)

    def action_pick(self) -> None:
        """Choose a plugin's folder."""

        def take(paths: list[Path] | None) -> None:
            if paths:
                self._agreeable = False
                self._refuse("")
                self.query_one(Input).value = str(paths[0])

        self.app.push_screen(pick_folder(Path.cwd(), "The plugin's folder"), take)

    # Installing

    def action_install(self) -> None:
        """Agreed: let pip do it."""
        self.query_one(Log).display = True
        self._say(Text("Installing…", "muted"), busy=True)
        self._install(self._target)

    @work(thread=True, group="pip")
    def _install(self, target: str) -> None:
        app = self.app
        try:
            pip.install(target, lambda line: tell(app, self._hear, line))
        except DiffinvError as error:
            tell(app, self._refuse, error.neutral)
            return
        tell(app, self._done)

    def _hear(self, line: str) -> None:
        if self.is_attached:
            self.query_one(Log).write_line(line)

    def _done(self) -> None:
        self._installed = True
        self._say(Text("✓ Installed. Escape goes back to the list.", "good"))

    def action_leave(self) -> None:
        """Back to the line, or away; not while pip works."""
        if self._busy:
            self.app.notify("pip is at work; this takes a moment.", severity="warning")
        else:
            self.dismiss(self._installed)


def _offered(changes: Sequence[pip.Change]) -> Text:
    text = Text().append("Would change:\n", "bold")
    for change in changes[:12]:
        text.append("  ").append_text(plain(change.name, limit=60)).append("  ")
        versions = f"{change.before or 'not installed'} → {change.after}"
        text.append_text(plain(versions, "muted", 60)).append("\n")
    if len(changes) > 12:
        text.append(f"  and {len(changes) - 12} more\n", "muted")
    return text.append("\nEnter installs it, Escape leaves all as it is.", "muted")
