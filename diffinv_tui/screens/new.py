"""A new difference: pictures, parts, settings, checks, start."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import Button, Input, Select, Static
from textual.worker import get_current_worker

from diffinv.contracts import Kind, Spec
from diffinv.errors import DiffinvError
from diffinv.jobs.planning import InversionPlan, plan_inversion
from diffinv.jobs.requests import InvertRequest
from diffinv.method.settings import PRESETS, inversion_settings
from diffinv.storage.store import Library
from diffinv.system.text import plural

from ..bindings import NEW
from ..checkpoints import choices
from ..dropped import dropped_paths
from ..formatting import duration, number, parse_tags
from ..messages import tell
from ..widgets.drop_line import DropLine
from ..widgets.fetch_button import FetchButton, refuse
from ..widgets.form import (
    AUTOMATIC,
    Checks,
    Field,
    More,
    choice,
    choose,
    chosen,
    fill,
    not_shown,
    number_typed,
    text_line,
    typed,
    write,
)
from ..widgets.picture_field import PictureField
from ..words import say
from .base import Place
from .pickers import pick_pictures

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Paste, ScreenResume
    from textual.widget import Widget

    from diffinv.jobs.store import Job
    from diffinv.plugins.registry import Registry

_DEBOUNCE = 0.3
_PRESET = "default"
_PRESETS = [("Best measured", _PRESET), ("The paper's", "paper")]
_SPACES = [
    ("Of the preset", ""),
    ("additive", "additive"),
    ("input", "input"),
    ("output", "output"),
    ("words", "words"),
]
_PROMPTERS = [("Of the preset", ""), ("the captions", "caption"), ("PEZ", "pez")]
_NUMBERS: dict[str, tuple[str, type[Any]]] = {
    "steps": ("Steps", int),
    "seed": ("Seed", int),
    "side": ("Side in pixels", int),
    "preview": ("Preview steps", int),
    "lr": ("{Step_size}", float),
    "tokens": ("{Hidden_words}", int),
    "alpha": ("{Trust_in_words}", float),
}
_FIRST = ("steps", "seed", "side", "preview")
"""The numbers that come before the details."""


class UnfinishedError(DiffinvError):
    """Half of something is there: nothing is wrong yet."""


class PairRow(Horizontal):
    """A and A′ of one pair; one that is ``wanted`` takes the focus when it is there."""

    def __init__(self, wanted: bool = False) -> None:
        super().__init__()
        self._wanted = wanted

    def compose(self) -> ComposeResult:
        """Two pictures and the arrow between them."""
        yield PictureField("{Before}", "a")
        yield Static("→", classes="pair-arrow")
        yield PictureField("{After}", "prime")

    def on_mount(self) -> None:
        """A comes first."""
        for field in self.query(PictureField):  # none where the row is taken away at once
            if self._wanted and field.kind == "a":
                field.focus()

    @property
    def paths(self) -> tuple[Path | None, Path | None]:
        """What was chosen."""
        chosen = {field.kind: field.path for field in self.query(PictureField)}
        return chosen.get("a"), chosen.get("prime")


class NewScreen(Place):
    """The form on the right, the pictures on the left."""

    MODE = "new"
    BINDINGS: ClassVar[list[BindingType]] = NEW

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self._asked: InvertRequest | None = None
        self._ready: InvertRequest | None = None
        self._preferred = self._filled_in = ""
        self._checkpoints: tuple[str, ...] = ()
        self._suited: tuple[Registry, str] | None = None

    def body(self) -> ComposeResult:
        """Pictures and form."""
        with Horizontal(id="new", classes="split"):
            with VerticalScroll(id="pairs", can_focus=False):
                yield PairRow()
                yield Static("More pairs may show the same change: see the keys.", classes="hint")
            with Vertical(classes="side"):
                with VerticalScroll(classes="form", can_focus=False):
                    yield from self._form()
                yield Checks(id="checks")
                yield FetchButton()
                yield Button("Start learning", id="start", variant="primary", disabled=True)

    def _form(self) -> ComposeResult:
        yield Static("New difference", classes="heading -first")
        yield Field("Name", DropLine(placeholder="from the files' names", id="name"))
        yield Field("Tags", DropLine(placeholder="snow winter", id="tags"))
        yield Static("Models", classes="heading")
        yield Field("{Model}", choice("backbone", [("…", "")]))
        yield Field("{Describes_with}", choice("captioner", [("…", "")]))
        yield Field("{Compares_with}", choice("delta_encoder", [("…", "")]))
        yield More(self._further)

    def _further(self) -> Iterator[Widget]:
        yield Field("Preset", choice("preset", _PRESETS, _PRESET))
        yield from (_number_line(id) for id in _FIRST)
        yield Field("{Before_shows}", text_line("caption_a", "as it is described"))
        yield Field("{After_shows}", text_line("caption_a_prime", "as it is described"))
        device = self.diffinv.preferences.device
        yield Field("Device", text_line("device", "the best there is", device))
        yield Static("Details", classes="heading")
        yield from (_number_line(id) for id in _NUMBERS if id not in _FIRST)
        yield Field("{Joined}", choice("token_space", _SPACES))
        yield Field("{Beside_them}", choice("prompter", _PROMPTERS))

    def on_mount(self) -> None:
        """Begin with A."""
        self.query_one(PictureField).focus()
        self._wait()

    def plugins_changed(self, registry: Registry) -> None:
        """Other parts to choose from."""
        self._preferred = self.diffinv.preferences.backbone
        self._checkpoints = self.diffinv.preferences.checkpoints
        select = self.query_one("#backbone", Select)
        by_hand = chosen(self, "backbone")
        if by_hand == self._filled_in:
            by_hand = ""
        backbones = choices(registry.backbones, self.diffinv.preferences.checkpoints, "backbone")
        fill(select, backbones or [("None is installed", "")], by_hand or self._preferred)
        if select.value != by_hand:
            self._filled_in = chosen(self, "backbone")
        self._fill_parts()

    def on_screen_resume(self, event: ScreenResume) -> None:
        """The backbone that the settings prefer by now, unless another one was chosen here, and
        the checkpoints that are known by now."""
        super().on_screen_resume(event)
        preferences = self.diffinv.preferences
        known = (preferences.backbone, preferences.checkpoints)
        if self._registry and known != (self._preferred, self._checkpoints):
            self._suited = None
            self.plugins_changed(self._registry)

    def _fill_parts(self) -> None:
        """What suits the backbone comes first."""
        registry = self.diffinv.registry
        if registry is None:
            return
        backbone = chosen(self, "backbone")
        if self._suited == (registry, backbone):
            return
        self._suited = registry, backbone
        spec = registry.backbones.get(backbone.partition("=")[0])
        suited: dict[Kind, tuple[Mapping[str, Spec], str | None]] = {
            "captioner": (registry.captioners, spec.captioner if spec else None),
            "delta encoder": (registry.delta_encoders, spec.delta_encoder if spec else None),
        }
        checkpoints = self.diffinv.preferences.checkpoints
        for kind, (parts, own) in suited.items():
            id = kind.replace(" ", "_")
            title = f"Suited: {parts[own].title}" if own and own in parts else "The model's own"
            listed = [(title, AUTOMATIC), *choices(parts, checkpoints, kind)]
            fill(self.query_one(f"#{id}", Select), listed, chosen(self, id))

    # The request

    def _pairs(self) -> tuple[tuple[Path, Path], ...]:
        """The pairs that are whole. Raises DiffinvError where half a pair is missing."""
        rows = [row.paths for row in self.query(PairRow)]
        if any(bool(a) != bool(b) for a, b in rows):
            raise UnfinishedError("Choose both pictures of every pair.")
        return tuple((a, b) for a, b in rows if a and b)

    def request(self) -> InvertRequest:
        """What the form asks for. Raises DiffinvError where it asks for nothing that can be."""
        values = {id: number_typed(self, id, *_NUMBERS[id]) for id in _NUMBERS}
        values["token_space"] = chosen(self, "token_space") or None
        values["prompter"] = chosen(self, "prompter") or None
        pairs = self._pairs()
        a, a_prime = typed(self, "caption_a"), typed(self, "caption_a_prime")
        if bool(a) != bool(a_prime):
            raise UnfinishedError("Say of both pictures what they show, or of neither.")
        return InvertRequest(
            pairs=pairs,
            name=typed(self, "name") or None,
            backbone=chosen(self, "backbone") or None,
            captioner=chosen(self, "captioner") or None,
            delta_encoder=chosen(self, "delta_encoder") or None,
            captions=((a, a_prime),) * len(pairs) if a else (),
            settings=inversion_settings(chosen(self, "preset", _PRESET), **values),
            device=typed(self, "device", self.diffinv.preferences.device) or None,
            library=self.diffinv.library.folder,
        )

    @on(Input.Changed)
    @on(Select.Changed)
    @on(PictureField.Changed)
    def _changed(self) -> None:
        self._asked = self._ready = None
        self.query_one("#start", Button).disabled = True
        self.query_one(FetchButton).offer(())
        if self._timer:
            self._timer.stop()
        self._timer = self.set_timer(_DEBOUNCE, self._check)

    @on(Select.Changed, "#backbone")
    def _other_backbone(self) -> None:
        self._fill_parts()

    @on(Select.Changed, "#preset")
    def _other_preset(self) -> None:
        for id in _NUMBERS:
            line = self.query_one(f"#{id}", Input)
            line.placeholder = _preset_number(chosen(self, "preset"), id)

    def _wait(self) -> None:
        self.query_one(Checks).wait("Choose two pictures: the same scene before and after.")

    def _check(self) -> None:
        try:
            request = self.request()
        except UnfinishedError as error:
            self.query_one(Checks).wait(error.neutral)
            return
        except DiffinvError as error:
            self.query_one(Checks).say(bad=error.neutral)
            return
        if not request.pairs:
            self._wait()
        elif self.diffinv.registry is not None:
            self._asked = request
            self._plan(request)

    @work(thread=True, exclusive=True, group="checks")
    def _plan(self, request: InvertRequest) -> None:
        worker = get_current_worker()
        try:
            plan = plan_inversion(request)
            seconds = expected_seconds(plan.library, request, plan.backbone.spec.id)
        except DiffinvError as error:
            if not worker.is_cancelled:
                tell(self.app, self._say_bad, request, error)
            return
        if not worker.is_cancelled:
            tell(self.app, self._say_good, request, plan, seconds)

    def _say_bad(self, request: InvertRequest, problem: DiffinvError) -> None:
        if self.is_attached and request is self._asked:
            refuse(problem, self.query_one(Checks), self.query_one(FetchButton))

    def models_changed(self) -> None:
        """What was missing may be here."""
        self._changed()

    def _say_good(self, request: InvertRequest, plan: InversionPlan, seconds: float | None) -> None:
        if not self.is_attached or request is not self._asked:  # it was changed meanwhile
            return
        if taken := self._learned_already(request.name):
            self.query_one(Checks).say(bad=taken)
            return
        parts = [plan.backbone, plan.delta_encoder, *([plan.captioner] if plan.captioner else [])]
        megabytes = sum(part.spec.size_mb for part in parts)
        time = f"about {duration(seconds)}" if seconds else "time not known yet"
        facts = [
            f"{plural(len(plan.lesson.pictures), 'pair')}, to be named {plan.lesson.name}",
            f"{time}, {megabytes:,} MB of models",
            *plan.notes,
        ]
        self._ready = request
        self.query_one(Checks).say(facts, [*plan.unsuited, *plan.warnings])
        self.query_one("#start", Button).disabled = False

    def _learned_already(self, name: str | None) -> str:
        """A sentence where a job is about to take a name; a name that nobody gave is numbered."""
        for job in self.diffinv.jobs:
            if name and job.kind == "invert" and not job.is_finished and job.title == name:
                return f"Job {job.id} learns a {name!r} already; give this one another name."
        return ""

    # Doing things

    @on(PictureField.Wanted)
    def _pick(self, event: PictureField.Wanted) -> None:
        field = event.field

        async def take(paths: list[Path] | None) -> None:
            if paths:
                self.diffinv.picked = paths[0].parent
                field.choose(paths[0])
                await self._fill(paths[1:])

        self.app.push_screen(
            pick_pictures(self.diffinv.picked, say(f"The picture {field.label.lower()}")), take
        )

    async def on_paste(self, event: Paste) -> None:
        """Files were dropped."""
        paths = [path for path in dropped_paths(event.text) if path.is_absolute() or path.exists()]
        field = self.focused
        if paths and isinstance(field, PictureField) and field.path is None:
            field.choose(paths.pop(0))
        await self._fill(paths)

    async def _fill(self, paths: Sequence[Path]) -> None:
        """Put pictures where there is none yet, before, then after, then into further pairs."""
        for path in paths:
            if not self._empty_fields():
                await self.query_one("#pairs").mount(PairRow(), before=".hint")
            self._empty_fields()[0].choose(path)
        empty = self._empty_fields()
        (empty[0] if empty else self.query_one("#name")).focus()

    def _empty_fields(self) -> list[PictureField]:
        return [field for field in self.query(PictureField) if field.path is None]

    def action_add_pair(self) -> None:
        """Another pair that shows the same difference."""
        self.query_one("#pairs").mount(PairRow(wanted=True), before=".hint")

    def action_remove_pair(self) -> None:
        """Take the last pair away."""
        rows = list(self.query(PairRow))
        if len(rows) > 1:
            rows[-1].remove()
            self.call_after_refresh(self._changed)

    def action_clear(self) -> None:
        """Begin again."""
        for row in list(self.query(PairRow))[1:]:
            row.remove()
        for field in self.query(PictureField):
            field.choose(None)
        for line in self.query(".form Input").results(Input):
            line.value = self.diffinv.preferences.device if line.id == "device" else ""
        choose(self, {"backbone": self._own_backbone(), "captioner": "", "delta_encoder": ""})
        if self.query("#preset"):
            choose(self, {"preset": _PRESET, "token_space": "", "prompter": ""})
        self.query_one(PictureField).focus()

    def _own_backbone(self) -> str:
        """The backbone that is taken where none is named."""
        found = self.diffinv.registry.backbones if self.diffinv.registry else {}
        ids = [id for _, id in choices(found, self._checkpoints, "backbone")]
        wanted = self.diffinv.preferences.backbone
        return wanted if wanted in ids else next(iter(ids), AUTOMATIC)

    async def refill(self, request: InvertRequest) -> None:
        """The form as it was when something was asked for, to ask for it with changes."""
        rows = list(self.query(PairRow))
        await self.query_one("#pairs").mount_all(
            [PairRow() for _ in request.pairs[len(rows) :]], before=".hint"
        )
        for row in rows[len(request.pairs) :]:
            await row.remove()
        for row, pair in zip(self.query(PairRow), request.pairs, strict=False):
            for field, path in zip(row.query(PictureField), pair, strict=True):
                field.choose(path)
        await self.query_one(More).unfold()
        write(self, _lines(request))
        choices = _choices(request)
        choices["backbone"] = choices["backbone"] or self._own_backbone()
        lost = choose(self, choices)
        shown = self.request()
        lost += not_shown(request.settings, shown.settings, vars(request.settings))
        lost += not_shown(request, shown, ["captions", "memory"])
        self.diffinv.say_not_shown(lost)

    def action_start(self) -> None:
        """Put the request into the queue."""
        if self._ready is None:
            self.app.notify("Not ready yet: see the checks.", severity="warning")
            return
        request, self._ready = self._ready, None
        request = replace(request, tags=parse_tags(typed(self, "tags")))
        self.diffinv.submit([request], lambda jobs: self._started(jobs[0]))

    @on(Button.Pressed, "#start")
    def _pressed(self) -> None:
        self.action_start()

    def _started(self, job: Job) -> None:
        """The form stays as it is: with a change it is another difference."""
        self.query_one("#start", Button).disabled = True
        self.query_one(Checks).wait(
            f"Job {job.id} learns this. Change something for another one; Ctrl+L empties the form."
        )
        self.diffinv.show_job(job.id)


def _lines(request: InvertRequest) -> dict[str, str]:
    settings = request.settings
    blank = inversion_settings(settings.preset, token_space=_changed_space(request))
    a, a_prime = request.captions[0] if request.captions else ("", "")
    numbers = {id: getattr(settings, id) for id in _NUMBERS}
    return {
        "name": request.name or "",
        "tags": " ".join(request.tags),
        "caption_a": a,
        "caption_a_prime": a_prime,
        "device": request.device or "",
        **{id: str(v) if v != getattr(blank, id) else "" for id, v in numbers.items()},
    }


def _changed_space(request: InvertRequest) -> str | None:
    space = request.settings.token_space
    return None if space == PRESETS[request.settings.preset].token_space else space


def _choices(request: InvertRequest) -> dict[str, str]:
    settings, preset = request.settings, PRESETS[request.settings.preset]
    own = {id: getattr(settings, id) for id in ("token_space", "prompter")}
    return {
        "backbone": request.backbone or AUTOMATIC,
        "captioner": request.captioner or AUTOMATIC,
        "delta_encoder": request.delta_encoder or AUTOMATIC,
        "preset": settings.preset,
        **{id: value if value != getattr(preset, id) else "" for id, value in own.items()},
    }


def _number_line(id: str) -> Field:
    return Field(_NUMBERS[id][0], text_line(id, _preset_number(_PRESET, id)))


def _preset_number(preset: str, id: str) -> str:
    value = getattr(PRESETS[preset], id)
    return "the model's own" if value is None else number(value)


def expected_seconds(library: Library, request: InvertRequest, backbone: str) -> float | None:
    """How long it took the last times, for as many steps; None where nobody knows."""
    known = []
    for entry in library.search(f"backbone:{backbone}", limit=20):
        steps = entry.info.settings.get("steps") if entry.info else None
        if entry.info and entry.info.seconds and isinstance(steps, int) and steps > 0:
            known.append(entry.info.seconds / steps)
    return statistics.median(known) * request.settings.steps if known else None
