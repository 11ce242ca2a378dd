"""Apply: differences with strengths, one picture that is tried, and the results of all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import Button, Checkbox, Input, Select, Static
from textual.worker import get_current_worker

from diffinv.errors import DiffinvError
from diffinv.jobs.counting import about
from diffinv.jobs.estimates import expected_seconds
from diffinv.jobs.planning import ApplicationPlan, plan_application
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.results_folder import results_folder
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures.reading import natural_key
from diffinv.plugins.model_states import shown_name
from diffinv.system.text import plural

from ..bindings import APPLY
from ..checkpoints import choices
from ..dropped import dropped_paths
from ..formatting import short_path
from ..messages import tell
from ..trying import Trials, in_proportion, seen, sweep, trial
from ..widgets.chosen_rows import Chosen, Row, Source
from ..widgets.fetch_button import FetchButton, refuse
from ..widgets.form import (
    AUTOMATIC,
    Checks,
    Field,
    More,
    chosen,
    fill,
    not_shown,
    text_line,
    typed,
    write,
)
from ..widgets.one_picture import OnePicture, Pair
from ..widgets.outcome import Outcome, View, results_of
from ..widgets.pair_grid import PairGrid
from ..widgets.results_grid import Result, ResultsGrid
from ..widgets.slider import Slider
from ..widgets.strength_strip import StrengthStrip
from . import apply_form
from .base import Place
from .comparison import enlarge
from .dialogs import Ask, Choose
from .pickers import pick_folder, pick_pictures

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Paste
    from textual.widget import Widget

    from diffinv.jobs.store import Job
    from diffinv.plugins.registry import Registry
    from diffinv.storage.store import Entry

    from ..trying import Asked

_DEBOUNCE = 0.3
_PLANNED = 2_000
_ASKED = ("memory", "captioner", "fill")
"""What a request may ask for and the form may not show."""


class ApplyScreen(Place):
    """The form on the left, what comes of it on the right."""

    MODE = "apply"
    BINDINGS: ClassVar[list[BindingType]] = APPLY

    def __init__(self) -> None:
        super().__init__()
        self._timer: Timer | None = None
        self._asked: ApplyRequest | None = None
        self._ready: ApplyRequest | None = None
        self._is_checking = False
        self._wish: Callable[[], None] | None = None
        self._planned: list[Path] = []
        self._at = 0
        self._trials = Trials()
        self._tried: ApplyRequest | None = None
        self._own: set[int] = set()
        self._started: int | None = None
        self._applied: list[Path] = []
        self._untimed: int | None = None

    def body(self) -> ComposeResult:
        """Form and results."""
        with Horizontal(id="apply", classes="split"):
            with Vertical(classes="side"):
                with VerticalScroll(classes="form", can_focus=False):
                    yield from self._form()
                yield Checks(id="checks")
                yield FetchButton()
                with Horizontal(classes="buttons"):
                    yield Button("Try it", id="try", disabled=True)
                    yield Button("Strength sweep", id="sweep", disabled=True)
                with Horizontal(classes="buttons"):
                    yield Button("Apply", id="start", variant="primary", disabled=True)
            yield Outcome(id="outcome")

    def _form(self) -> ComposeResult:
        yield Static("Differences", classes="heading -first")
        yield Vertical(id="chosen")
        yield Button("+ Difference", id="add-difference", compact=True)
        yield Static("Pictures", classes="heading")
        yield Static("None yet: pictures, or folders of them.", id="no-images")
        yield Vertical(id="images")
        with Horizontal(classes="buttons -compact"):
            yield Button("+ Folder", id="add-folder", compact=True)
            yield Button("+ Picture", id="add-file", compact=True)
        yield Static("Save to", classes="heading")
        yield Field("Folder", text_line("out", "beside the pictures"))
        yield More(self._further)

    def _further(self) -> Iterator[Widget]:
        options = {"editor": self._editors(), "captioner": (self._captioners(), AUTOMATIC)}
        return apply_form.further(options, self.diffinv.preferences.device)

    def on_mount(self) -> None:
        """Begin with the differences."""
        self._wait()
        self.query_one("#add-difference").focus()

    @property
    def outcome(self) -> Outcome:
        """What comes of it."""
        return self.query_one(Outcome)

    def plugins_changed(self, registry: Registry) -> None:
        """Other editors and captioners to choose from."""
        for select in self.query("#editor").results(Select):
            fill(select, *self._editors())
        for select in self.query("#captioner").results(Select):
            fill(select, self._captioners(), chosen(self, "captioner"))

    def _editors(self) -> tuple[list[tuple[str, str]], str]:
        """The editors there are, and the one that is chosen."""
        registry = self.diffinv.registry
        found = [(spec.title, id) for id, spec in registry.editors.items()] if registry else []
        wanted = chosen(self, "editor") or ApplicationSettings().editor
        ids = [id for _, id in found]
        listed = found or [("None is installed", "")]
        return listed, wanted if wanted in ids else listed[0][1]

    def _captioners(self) -> list[tuple[str, str]]:
        registry = self.diffinv.registry
        found = registry.captioners if registry else {}
        own = choices(found, self.diffinv.preferences.checkpoints, "captioner")
        return [("The model's own", AUTOMATIC), *own]

    # What is to be applied

    def choose(self, differences: Sequence[tuple[str, Path]]) -> None:
        """Put differences on the list, in place of others; one that stays keeps its strength."""
        before = {row.path: row.strength for row in self.query(Chosen)}
        rows = self.query_one("#chosen")
        rows.remove_children()
        rows.mount_all(Chosen(name, path, before.get(path, 1.0)) for name, path in differences)
        self.call_after_refresh(self._changed)

    def action_add_difference(self) -> None:
        """Choose one of the library."""
        self.do(lambda: self.diffinv.library.search(limit=1_000), self._choose_difference)

    def _choose_difference(self, entries: list[Entry]) -> None:
        good = [entry for entry in entries if entry.info]

        def add(index: int | None) -> None:
            if index is not None:
                self.query_one("#chosen").mount(Chosen(good[index].name, good[index].path))
                self.call_after_refresh(self._changed)

        choices = [(e.name, e.info.description if e.info else "") for e in good]
        empty = "The library is empty: 2 learns a difference."
        self.app.push_screen(
            Choose("Apply which difference?", choices, empty, lambda index: good[index].path), add
        )

    @on(Row.Removed)
    def _removed(self, event: Row.Removed) -> None:
        event.row.remove()
        next_one = "#add-difference" if isinstance(event.row, Chosen) else "#add-folder"
        self.query_one(next_one).focus()
        self.call_after_refresh(self._sources_changed)

    def action_add_folder(self) -> None:
        """Every picture in a folder."""
        self.app.push_screen(pick_folder(self.diffinv.picked, "Apply to a folder"), self.add_images)

    def action_add_file(self) -> None:
        """Pictures."""
        self.app.push_screen(
            pick_pictures(self.diffinv.picked, "Apply to pictures"), self.add_images
        )

    def add_images(self, paths: Sequence[Path] | None) -> None:
        """Further pictures and folders."""
        for path in paths or ():
            self.add_image(path)

    def add_image(self, path: Path) -> None:
        """One more picture or folder."""
        if path in self._images:
            return
        self.diffinv.picked = path.parent
        self.query_one("#images").mount(Source(path))
        self.call_after_refresh(self._sources_changed)

    @property
    def _images(self) -> list[Path]:
        """The pictures and folders that were chosen."""
        return [row.path for row in self.query(Source) if row.is_attached]

    def _sources_changed(self) -> None:
        self.query_one("#no-images").display = not self._images
        self._changed()

    def on_paste(self, event: Paste) -> None:
        """A file or folder was dropped."""
        if not isinstance(self.focused, Input):
            self.add_images(dropped_paths(event.text))

    def action_clear(self) -> None:
        """Begin again."""
        self.query_one("#chosen").remove_children()
        self.query_one("#images").remove_children()
        self._planned, self._started = [], None
        self.outcome.show_results([])
        self.outcome.show("one")
        write(self, {"out": ""})
        apply_form.clear(self, self.diffinv.preferences.device)
        self.call_after_refresh(self._sources_changed)
        self.query_one("#add-difference").focus()

    async def refill(
        self, request: ApplyRequest, differences: Sequence[tuple[str, Path, float]]
    ) -> None:
        """The form as it was when something was asked for, to ask for it with changes."""
        rows = [Chosen(*difference) for difference in differences]
        sources = [Source(path) for path in request.images]
        for id, made in (("chosen", rows), ("images", sources)):
            await self.query_one(f"#{id}").remove_children()
            await self.query_one(f"#{id}").mount_all(made)
        await self.query_one(More).unfold()
        write(self, {"out": ""})
        apply_form.show(self, request)
        usual = self._out([(path.stem, asked) for _, path, asked in differences])
        copies = dict(request.mirrors)
        if copies:  # pictures lie in the cache, where results have no place
            write(self, {"out": str(Path.home() / usual.name)})
        elif request.out != (self._tries if request.sweep else usual):
            write(self, {"out": str(request.out)})
        self._sources_changed()
        self.set_timer(_DEBOUNCE, self._to_top)
        shown = self.request()
        lost = not_shown(request.settings, shown.settings, vars(request.settings))
        lost += not_shown(request, shown, _ASKED)
        if request.backbone and "=" in request.backbone:  # else the differences' own
            lost.append(f"model {request.backbone}")
        lost += [f"the address {address}" for address in copies.values()]
        asked = [strength for _, _, strength in differences]
        pairs = zip(asked, [row.strength for row in rows], strict=True)
        lost += [f"strength {a:g}" for a, b in pairs if a != b]
        self.diffinv.say_not_shown(lost)

    def _to_top(self) -> None:
        """Begin with the differences: what unfolds scrolls to itself."""
        self.query_one(".form").scroll_home(animate=False)

    # The request

    def request(self) -> ApplyRequest:
        """What the form asks for. Raises DiffinvError where it asks for nothing that can be."""
        rows = list(self.query(Chosen))
        settings, further = apply_form.read(self, self.diffinv.preferences.device)
        return ApplyRequest(
            differences=tuple((str(row.path), row.strength) for row in rows),
            images=tuple(self._images),
            out=self._out([(row.path.stem, row.strength) for row in rows]),
            settings=settings,
            library=self.diffinv.library.folder,
            **further,
        )

    def _out(self, differences: Sequence[tuple[str, float]]) -> Path:
        """The folder that was typed, or one beside the pictures."""
        if text := typed(self, "out"):
            return Path(os.path.expanduser(text))
        first = self._images[0] if self._images else Path.cwd()
        return results_folder(first, differences)

    @property
    def _tries(self) -> Path:
        """The folder for single pictures, in which each strength has one of its own."""
        return self._out([(row.path.stem, 1.0) for row in self.query(Chosen)])

    @on(Slider.Typing)
    def _type_strength(self, event: Slider.Typing) -> None:
        def take(text: str | None) -> None:
            if text is None:
                return
            try:
                strength = float(text.replace(",", "."))
            except ValueError:
                strength = math.nan
            if math.isfinite(strength):
                event.slider.value = strength
            else:
                self.app.notify("A strength is a number, such as 0.85.", severity="warning")

        hint = "1 is as learned, 0 nothing, below 0 undone."
        row = event.slider.parent
        about = (row.label, row.path) if isinstance(row, Chosen) else None
        self.app.push_screen(Ask("How strongly?", f"{event.slider.value:g}", hint, about), take)

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Checkbox.Changed)
    @on(Slider.Changed)
    def _changed(self) -> None:
        self._asked = self._ready = self._wish = None
        self._is_checking = True
        self._enable(False)
        self._show_one()
        if self._timer:
            self._timer.stop()
        self._timer = self.set_timer(_DEBOUNCE, self._check)

    def _enable(self, ready: bool) -> None:
        if not ready:
            self.query_one(FetchButton).offer(())
        for id in ("try", "sweep", "start"):
            self.query_one(f"#{id}", Button).disabled = not ready

    def _wait(self) -> None:
        self._is_checking = False
        missing = "a difference" if not self.query(Chosen) else "pictures, or a folder of them"
        self.query_one(Checks).wait(f"Choose {missing}.")

    def _check(self) -> None:
        try:
            request = self.request()
        except DiffinvError as error:
            self._is_checking = False
            self.query_one(Checks).say(bad=error.neutral)
            return
        if request.differences and request.images:
            self._asked = request
            self._plan(request, self.diffinv.jobs)
        else:
            self._wait()

    @work(thread=True, exclusive=True, group="checks")
    def _plan(self, request: ApplyRequest, jobs: list[Job]) -> None:
        worker = get_current_worker()
        try:
            plan = plan_application(request)
            seconds = expected_seconds(jobs, request, plan)
        except DiffinvError as error:
            if not worker.is_cancelled:
                tell(self.app, self._say_bad, request, error)
            return
        if not worker.is_cancelled:
            tell(self.app, self._say_good, request, plan, seconds)

    def _say_bad(self, request: ApplyRequest, problem: DiffinvError) -> None:
        if self.is_attached and request is self._asked:
            self._is_checking = False
            refuse(problem, self.query_one(Checks), self.query_one(FetchButton))

    def models_changed(self) -> None:
        """What was missing may be here."""
        self._changed()

    def _say_good(
        self, request: ApplyRequest, plan: ApplicationPlan, seconds: float | None
    ) -> None:
        if not self.is_attached or request is not self._asked:  # it was changed meanwhile
            return
        self._ready, self._is_checking = request, False
        self._untimed = _finished(self.diffinv.jobs) if seconds is None else None
        left = [source for source, _ in plan.targets]
        self._plan_for(list(dict.fromkeys([*left, *(output.input for output in plan.done)])))
        count = plural(len(left), "picture" if request.results == 1 else "result")
        if plan.done:
            count = f"{count} left to do, {len(plan.done)} done before"
        facts = [
            f"{count}, with {plan.backbone.spec.title}",
            *([_how_long(seconds)] if left else []),
            f"Results go to {short_path(request.out)}",
            *plan.notes,
        ]
        notes = [*plan.unsuited, *plan.warnings, *plan.left_out]
        for state in plan.missing:
            notes.append(f"Without {shown_name(state)} the words of prompts stay as they are.")
        self.query_one(FetchButton).offer(plan.missing)
        if _changes_nothing(request):
            notes.append("At strength 0 nothing changes.")
        self.query_one(Checks).say(facts, notes)
        self._enable(True)
        wish, self._wish = self._wish, None
        if wish is not None:
            wish()

    def _plan_for(self, pictures: list[Path]) -> None:
        """These pictures are to be changed; the one that is tried stays where it is among them."""
        before = self._planned[self._at : self._at + 1]
        self._planned = sorted(pictures, key=lambda path: natural_key(str(path)))
        self._at = self._planned.index(before[0]) if before and before[0] in pictures else 0
        count = len(pictures)
        self.query_one("#start", Button).label = f"Apply to all {count}" if count > 1 else "Apply"
        if self._started is None:
            self.outcome.show_results([Result(path, None) for path in self._planned[:_PLANNED]])
        self._take_trials(self.diffinv.jobs)

    # One picture

    def _take_trials(self, jobs: list[Job]) -> None:
        self._tried = self._ready or self._tried
        self._trials.take(jobs, self._tried)
        self._show_one()

    @property
    def _strengths(self) -> Asked:
        return tuple((str(row.path.absolute()), row.strength) for row in self.query(Chosen))

    @on(StrengthStrip.Moved)
    def _show_one(self) -> None:
        """The picture that is tried, with the strengths as they are, or as the strip has them."""
        if not self._planned:
            return
        place = f"{self._at + 1} of {len(self._planned)}"
        one = self.query_one(OnePicture)
        current = one.strip.current
        looked_at = current.strength if current else None
        picture = self._planned[self._at]
        one.show(seen(self._trials, picture, place, self._strengths, looked_at))

    @on(Pair.Stepped)
    def _step(self, event: Pair.Stepped) -> None:
        self._at = min(max(0, self._at + event.by), len(self._planned) - 1)
        self._show_one()

    @on(Pair.Opened)
    def _compare(self) -> None:
        enlarge(self.query_one(OnePicture), self.app)

    @on(StrengthStrip.Taken)
    def _take_strength(self, event: StrengthStrip.Taken) -> None:
        taken = in_proportion(self._strengths, event.strength)
        for slider, (_, strength) in zip(self.query(Slider), taken, strict=True):
            slider.value = strength

    def action_try_this(self) -> None:
        """Try the picture under the cursor."""
        current = self.query_one(ResultsGrid).current
        if current is not None and current.before in self._planned:
            self._at = self._planned.index(current.before)
            self.outcome.show("one")
            self._show_one()
            self.query_one(Pair).focus()

    def action_change_view(self) -> None:
        """From the picture to all results, and back."""
        self._show_view("all" if self.outcome.view == "one" else "one")

    def action_view_one(self) -> None:
        """The picture that is tried."""
        self._show_view("one")

    def action_view_all(self) -> None:
        """All results."""
        self._show_view("all")

    def _show_view(self, view: View) -> None:
        self.outcome.show(view)
        self.query_one(Pair if view == "one" else ResultsGrid).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of the results, one can be tried."""
        return action != "try_this" or isinstance(self.focused, ResultsGrid)

    # Starting, and what comes of it

    def _once_ready(self, action: Callable[[], None]) -> None:
        """Do something with the request, as soon as it has been checked."""
        if self._ready is not None:
            action()
        elif self._is_checking:
            self._wish = action
        else:
            self.app.notify("Not ready yet: see the checks.", severity="warning")

    def action_start(self) -> None:
        """Put all pictures into the queue."""
        self._once_ready(self._start)

    def _start(self) -> None:
        assert self._ready is not None
        inputs = list(self._planned)

        def started(job: Job) -> None:
            self._started, self._applied = job.id, inputs
            self._show_view("all")

        self._submit(self._ready, started)

    def action_try(self) -> None:
        """The picture that is shown, with the strengths as they are."""
        self._once_ready(partial(self._try, trial))

    def action_sweep(self) -> None:
        """The picture that is shown, at several strengths."""
        self._once_ready(partial(self._try, sweep))

    def _try(self, ask: Callable[[ApplyRequest, Path, Path], ApplyRequest]) -> None:
        assert self._ready is not None
        request = ask(self._ready, self._planned[self._at], self._tries)

        def started(_job: Job) -> None:
            self.outcome.show("one")
            if ask is sweep:
                self.query_one(StrengthStrip).focus()

        self._submit(request, started)

    def _submit(self, request: ApplyRequest, then: Callable[[Job], None]) -> None:
        def started(jobs: list[Job]) -> None:
            self._own.update(job.id for job in jobs)
            self.jobs_changed([*self.diffinv.jobs, *jobs])
            then(jobs[0])
            self.jobs_changed([*self.diffinv.jobs, *jobs])

        self.diffinv.submit([request], started)

    def is_showing(self, job: Job) -> bool:
        """What was started here is seen here."""
        return job.id in self._own

    def jobs_changed(self, jobs: list[Job]) -> None:
        """Show what the jobs have brought so far, and how long more would take once one tells."""
        self._take_trials(jobs)
        if self._ready and self._untimed is not None and _finished(jobs) > self._untimed:
            self._untimed = None
            self._plan(self._ready, jobs)
        for job in jobs:
            if job.id == self._started:
                self.outcome.show_results(results_of(job, self._applied), [job])

    @on(PairGrid.Opened)
    def _large(self) -> None:
        enlarge(self.query_one(ResultsGrid), self.app)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id:
            getattr(self, "action_" + event.button.id.replace("-", "_"))()


def _how_long(seconds: float | None) -> str:
    """How long it will take, as far as that is known."""
    if seconds is None:
        return "The first picture tells how long"
    said = about(seconds)
    return f"{said[0].upper()}{said[1:]}, like earlier ones"


def _finished(jobs: Sequence[Job]) -> int:
    """How many applications are done, any of which may tell how long another one takes."""
    return sum(job.kind == "apply" and job.state == "done" for job in jobs)


def _changes_nothing(request: ApplyRequest) -> bool:
    return all(weight == 0 for _, weight in request.differences)
