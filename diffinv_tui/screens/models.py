"""The models: what each is for, whether it is here, and what it takes to get it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button, OptionList, Static
from textual.widgets.option_list import Option

from diffinv.contracts import BackboneSpec
from diffinv.jobs.requests import FetchRequest
from diffinv.plugins.model_states import KINDS, ModelState, model_states, remove_model
from diffinv.system.text import readable, text_safe

from ..bindings import MODELS
from ..checkpoints import entry, own_parts, own_title
from ..formatting import plain, tilde
from ..widgets.fetch_button import fetching, how_much
from ..words import say
from .base import Place
from .checkpoint import OwnCheckpoint
from .dialogs import Confirm
from .lists import LineList

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.contracts import Kind
    from diffinv.jobs.store import Job
    from diffinv.plugins.registry import Registry

_GROUPS: dict[Kind, str] = {
    "backbone": "{Models} that draw",
    "captioner": "{Describers}",
    "delta encoder": "{Comparers}",
}
_LOOKS = {
    "here": ("✓", "good"),
    "partly here": ("◐", "warn"),
    "not here": ("○", "muted"),
    "not ready": ("✗", "bad"),
    "yours": ("○", "muted"),
}


@dataclass(frozen=True)
class Row:
    """A part as it is listed: with its own weights, or with some of the user's (``path``)."""

    state: ModelState
    path: str = ""

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return entry(self.state.kind, self.state.spec.id, self.path)

    @property
    def choice(self) -> str:
        """How a form names it: ID or ID=PATH."""
        return f"{self.state.spec.id}={self.path}" if self.path else self.state.spec.id

    @property
    def title(self) -> str:
        """What it is called."""
        return own_title(self.state.spec, self.path) if self.path else self.state.spec.title


class ModelList(LineList):
    """The models there are, here or not."""

    HELP = """What draws, what describes pictures, and what compares them with words.

    **f** fetches a model, with all that it needs: that is a job, which goes on when the app is
    closed. **u** takes it for new differences, **o** takes a checkpoint of your own in place of the
    usual one, **d** removes what was fetched.
    """


class ModelsScreen(Place):
    """The list on the left, one model on the right."""

    MODE = "models"
    BINDINGS: ClassVar[list[BindingType]] = MODELS

    def __init__(self) -> None:
        super().__init__()
        self._states: list[ModelState] = []
        self._rows: list[Row] = []
        self._listed: list[Row | None] = []
        """What each line of the list stands for; None for a heading."""

    def body(self) -> ComposeResult:
        """The list and the view."""
        with Horizontal(classes="split", id="models"):
            yield ModelList()
            with Vertical(id="model"):
                with VerticalScroll(can_focus=False):
                    yield Static("Looking…", id="model-title", classes="view-title")
                    yield Static("", id="model-about")
                with Horizontal(classes="buttons", id="model-buttons"):
                    yield Button("", id="fetch", variant="primary")
                    yield Button("Use for new", id="use")
                    yield Button("Folder or file…", id="own")
                    yield Button("Remove", id="remove")

    def on_mount(self) -> None:
        """The list has the focus."""
        self.query_one(ModelList).focus()
        self.query_one("#model-buttons").display = False

    @property
    def current(self) -> Row | None:
        """The model under the cursor."""
        index = self.query_one(ModelList).highlighted
        return self._listed[index] if index is not None and index < len(self._listed) else None

    # What is here

    def plugins_changed(self, registry: Registry) -> None:
        """Other models."""
        self.models_changed()

    def models_changed(self) -> None:
        """Look again at what is here."""
        self.do(partial(model_states, self.diffinv.registry), self._take)

    def _take(self, states: Sequence[ModelState]) -> None:
        if self.is_attached:
            self._states = list(states)
            self._list()

    def _list(self) -> None:
        """Fill the list; the cursor stays on the same model."""
        before = self.current.key if self.current else ""
        self._rows = list(self._all_rows())
        self._listed = []
        options: list[Option] = []
        for kind in KINDS:
            rows = [row for row in self._rows if row.state.kind == kind]
            if rows:
                gap = "\n" if options and self.has_class("-tall") else ""
                options.append(Option(Text(gap + say(_GROUPS[kind]), "muted"), disabled=True))
                options += [Option(self._prompt(row)) for row in rows]
                self._listed += [None, *rows]
        listing = self.query_one(ModelList)
        listing.clear_options()
        listing.add_options(options)
        keys = [row.key if row else "" for row in self._listed]
        listing.highlighted = keys.index(before) if before in keys and before else min(1, len(keys))
        self._show()

    def _all_rows(self) -> Iterator[Row]:
        for state in self._states:
            yield Row(state)
            for id, path in own_parts(self.diffinv.preferences.checkpoints, state.kind):
                if id == state.spec.id:
                    yield Row(state, path)

    def jobs_changed(self, jobs: list[Job]) -> None:
        """Say how far the fetching is."""
        listing = self.query_one(ModelList)
        for index, row in enumerate(self._listed):
            if row is not None and row.state.model and not row.path:
                listing.replace_option_prompt_at_index(index, self._prompt(row))
        self._show()

    def on_resize(self) -> None:
        """There is room for other things."""
        if self._states:
            self.call_after_refresh(self._list)

    # What is shown

    def _prompt(self, row: Row) -> Text:
        mark, style = ("✓", "good") if row.path else _LOOKS[row.state.status]
        mark, style = ("●", "good") if self._job(row) else (mark, style)
        text = Text(no_wrap=True, overflow="ellipsis").append(f"{mark} ", style)
        text.append_text(plain(row.title, "bold" if self._is_preferred(row) else "", 60))
        about = self._about(row) + (", for new ones" if self._is_preferred(row) else "")
        return text.append("\n  ").append_text(plain(about, "muted", 80))

    def _about(self, row: Row) -> str:
        state, job = row.state, self._job(row)
        if row.path:
            return "yours"
        if job:
            return f"fetching, {100 * job.share:.0f} %" if job.state == "running" else "waits"
        if state.status == "not here":
            return f"{readable(state.to_fetch)} to fetch" if state.to_fetch else "can be fetched"
        if state.status == "partly here":
            return f"{readable(state.size)} here, {readable(state.to_fetch)} to fetch"
        if state.status == "yours":
            return "wants one of your own"
        here = f"here, {readable(state.size)}" if state.size else "here"
        return here if state.status == "here" else "cannot be used"

    def _is_preferred(self, row: Row) -> bool:
        registry = self.diffinv.registry
        first = next(iter(registry.backbones), "") if registry else ""
        wanted = self.diffinv.preferences.backbone or first
        return row.state.kind == "backbone" and row.choice == wanted

    def _job(self, row: Row) -> Job | None:
        return None if row.path else fetching(self.diffinv.jobs, [row.state])

    def _failure(self, row: Row) -> str:
        """Why it could not be fetched the last time."""
        if row.state.status == "here" or self._job(row):
            return ""
        asked = [
            job
            for job in self.diffinv.jobs
            if isinstance(job.request, FetchRequest) and row.state.model in job.request.models
        ]
        last = max(asked, key=lambda job: job.id, default=None)
        return last.error or "" if last else ""

    def _needed(self, row: Row) -> list[ModelState]:
        """What has to be fetched to use it, and is not by any job: a model that draws, with what
        describes and compares for it."""
        spec = row.state.spec
        wanted = [] if row.path else [row.state]
        if isinstance(spec, BackboneSpec):
            suited = {("captioner", spec.captioner), ("delta encoder", spec.delta_encoder)}
            wanted += [s for s in self._states if (s.kind, s.spec.id) in suited]
        missing = {s.model: s for s in wanted if s.model and s.status != "here"}
        return [s for s in missing.values() if not fetching(self.diffinv.jobs, [s])]

    @on(OptionList.OptionHighlighted)
    def _other(self) -> None:
        self._show()

    def _show(self) -> None:
        row = self.current
        self.query_one("#model-buttons").display = row is not None
        if row is None:
            if not self._states:
                self.query_one("#model-about", Static).update("")
            return
        self.query_one("#model-title", Static).update(plain(row.title, "bold", 120))
        self.query_one("#model-about", Static).update(self._table(row))
        fetch = self.query_one("#fetch", Button)
        fetch.label = f"Fetch {how_much(self._needed(row))}"
        for action in ("fetch", "use", "own", "remove"):
            has_room = action == "fetch" or not self.has_class("-narrow")  # the footer has them
            shown = has_room and bool(self.check_action(action, ()))
            self.query_one(f"#{action}", Button).display = shown
        self.query_one("#remove", Button).label = "Forget" if row.path else "Remove"
        self.refresh_bindings()

    def _table(self, row: Row) -> Table:
        state = row.state
        spec = state.spec
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(style="muted", no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_row(
            "For", plain(spec.purpose or spec.description or "It does not say.", limit=500)
        )
        if state.error and not row.path:
            grid.add_row("", plain(tilde(state.error), "bad", 600))
        elif failure := self._failure(row):
            grid.add_row("", plain(tilde(failure), "bad", 600))
        grid.add_row("", "")
        grid.add_row("On disk", plain(self._about(row)))
        if row.path:
            grid.add_row("Where", plain(tilde(row.path)))
        elif state.model and ":" not in state.model:
            grid.add_row("From", plain(state.model, limit=100))
        grid.add_row("Licence", plain(spec.licence or "not stated", limit=200))
        if isinstance(spec, BackboneSpec) and spec.resolution:
            grid.add_row("Draws at", f"about {spec.resolution} × {spec.resolution} pixels")
        for what, other in self._companions(spec):
            grid.add_row(what, plain(f"{other.spec.title}, {self._about(Row(other))}", limit=120))
        if spec.purpose and spec.description:
            grid.add_row("", "")
            grid.add_row("Details", plain(spec.description, "muted", 400))
        return grid

    def _companions(self, spec: object) -> Iterator[tuple[str, ModelState]]:
        if isinstance(spec, BackboneSpec):
            kinds = {"captioner": spec.captioner, "delta encoder": spec.delta_encoder}
            words = {"captioner": "{Describes_with}", "delta encoder": "{Compares_with}"}
            for state in self._states:
                if kinds.get(state.kind) == state.spec.id:
                    yield say(words[state.kind]), state

    # Doing things

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The footer offers what can be done with this model."""
        row = self.current if self.is_mounted else None
        if action not in ("fetch", "use", "own", "remove"):
            return True
        if row is None:
            return False
        if action == "fetch":
            return bool(self._needed(row))
        if action == "use":
            return row.state.kind == "backbone" and not self._is_preferred(row)
        if action == "remove":
            return bool(row.path or (row.state.model and row.state.size)) and not self._job(row)
        return not row.path

    def action_fetch(self) -> None:
        """Fetch it, with what it needs."""
        if self.current and (needed := self._needed(self.current)):
            self.diffinv.fetch(needed)

    def action_use(self) -> None:
        """Take it for new differences."""
        row = self.current
        if row is not None:
            self.diffinv.prefer(backbone=row.choice)
            title = plain(row.title, limit=60).plain
            self.app.notify(f"New differences are drawn by {title}.", markup=False)
            self._list()

    def action_own(self) -> None:
        """Take a checkpoint of the user's own."""
        row = self.current
        if row is None:
            return

        def take(weights: str | None) -> None:
            if weights is not None:
                new = entry(row.state.kind, row.state.spec.id, weights)
                known = self.diffinv.preferences.checkpoints
                self.diffinv.prefer(checkpoints=tuple(dict.fromkeys([*known, new])))
                self._list()

        self.app.push_screen(OwnCheckpoint(row.state.spec), take)

    def action_remove(self) -> None:
        """Forget a checkpoint of the user's own, or remove what was fetched, when sure."""
        row = self.current
        if row is None:
            return
        if row.path:
            self._forget(row)
            return
        model, size = row.state.model or "", readable(row.state.size)
        others = [s.spec.title for s in self._states if s.model == model and s != row.state]
        too = f" {', '.join(others)} will lack it too." if others else ""
        question = f"Remove {text_safe(row.title)} from this machine?{too}"

        def then(sure: bool | None) -> None:
            if sure:
                self.do(partial(remove_model, model), self._removed)

        self.app.push_screen(Confirm(question, f"frees {size}", "keeps it"), then)

    def _forget(self, row: Row) -> None:
        known = self.diffinv.preferences.checkpoints
        changes: dict[str, object] = {"checkpoints": tuple(one for one in known if one != row.key)}
        if self.diffinv.preferences.backbone == row.choice and row.state.kind == "backbone":
            changes["backbone"] = ""
        self.diffinv.prefer(**changes)
        self.app.notify("It is no longer listed; its file stays where it is.")
        self._list()

    def _removed(self, freed: int) -> None:
        self.app.notify(f"{readable(freed)} are free again.")
        self.models_changed()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id:
            getattr(self, f"action_{event.button.id}")()
