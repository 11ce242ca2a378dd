"""The app: screens, jobs as they change, and whatever several screens need."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import rich.theme
from rich.style import Style
from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.events import Event, InputEvent
from textual.screen import Screen
from textual.theme import Theme
from textual.widgets import Input
from textual.widgets._select import SelectOverlay

from diffinv.difference import read_info
from diffinv.errors import DiffinvError
from diffinv.jobs.demo import find_example, submit_demo
from diffinv.jobs.launch import ensure_worker
from diffinv.jobs.requests import ApplyRequest, FetchRequest, InvertRequest, Request
from diffinv.jobs.store import Job, JobStore
from diffinv.jobs.worker_environment import dismiss_stale_worker
from diffinv.plugins.loading import registry as load_registry
from diffinv.plugins.loading import reload
from diffinv.plugins.model_states import ModelState
from diffinv.plugins.registry import Registry
from diffinv.storage.store import Entry, Library
from diffinv.system.paths import library_folder
from diffinv.system.text import path_text

from .bindings import APP, IN_BROWSER, key_problems, key_shown
from .blocks import Blocks, Drawing
from .commands import Differences, DiffinvCommands
from .config import load_preferences, preferences_file, save_preferences
from .formatting import plain, tilde
from .garbage_collection import Collector
from .marking import MarkBook
from .messages import Call, tell
from .news import News, running_already
from .screens.apply import ApplyScreen
from .screens.base import Place
from .screens.dialogs import Quit
from .screens.jobs import JobsScreen
from .screens.library import LibraryScreen
from .screens.models import ModelsScreen
from .screens.new import NewScreen
from .screens.plugins import PluginsScreen
from .screens.settings import SettingsScreen
from .theme import DARK, LIGHT, in_colour
from .words import speak

POLL = 0.25
"""Seconds between two looks at the jobs."""
LAUNCH = 5.0
"""Seconds between two looks whether jobs wait for a worker that nobody has started."""


class DiffinvApp(App[None]):
    """Library, jobs and everything else, in one terminal."""

    TITLE = "diffinv"
    CSS_PATH = "app.tcss"
    COMMANDS = App.COMMANDS | {DiffinvCommands, Differences}
    BINDINGS: ClassVar[list[BindingType]] = APP
    MODES: ClassVar[dict[str, str | Callable[[], Any]]] = {
        "library": LibraryScreen,
        "new": NewScreen,
        "jobs": JobsScreen,
        "apply": ApplyScreen,
        "models": ModelsScreen,
        "plugins": PluginsScreen,
        "settings": SettingsScreen,
    }
    DEFAULT_MODE = "library"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]

    def __init__(
        self,
        library: Library | None = None,
        store: JobStore | None = None,
        plugins: Callable[[], Registry] | None = None,
        picture_widget: type[Any] | None = None,
        blocks: Blocks = "half",
        launcher: Callable[[JobStore], None] = ensure_worker,
    ) -> None:
        super().__init__()
        self.library = library or Library(library_folder())
        self.store = store or JobStore()
        self.picture_widget = picture_widget
        self.drawing = Drawing(blocks, self.console.color_system == "256")
        self.registry: Registry | None = None
        self.jobs: list[Job] = []
        self.pause_reason: str | None = None
        self._load_plugins, self._reload_plugins = plugins or load_registry, plugins or reload
        self._launch = launcher
        self._waiting: list[Callable[[Registry], None]] = []
        self._seen: object = None
        self._polling = False
        self._keeping = threading.Lock()
        self._collector = Collector()
        self._told: str | None = None
        self.marks = MarkBook()
        self._news = News(self)
        self._preview = ""
        self.picked = Path.cwd()
        """The folder that a picture was last picked from."""
        self.preferences, problem = load_preferences(preferences_file())
        self._problems = [problem] if problem else []
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self._set_theme(self.preferences.theme)
        speak(self.preferences.words)
        self._name_styles()
        self._check_keys()

    def on_mount(self) -> None:
        """Keys, plugins, and the one poller."""
        self.theme_changed_signal.subscribe(self, self._theme_chosen)
        self.use_keys()
        for problem in self._problems:
            self.call_after_refresh(self.complain, problem)
        self._find_plugins()
        self._poll()
        self.set_interval(POLL, self._poll)
        self.set_interval(LAUNCH, self._see_to_workers)
        self.call_after_refresh(self._collector.begin)
        self.set_interval(POLL, lambda: self._collector.look(len(self.screen_stack) == 1))

    async def on_event(self, event: Event) -> None:
        """Take note that somebody does something."""
        if isinstance(event, InputEvent):
            self._collector.touch()
        await super().on_event(event)

    def update_styles(self, node: DOMNode, animate: bool = True) -> None:
        """Style a node anew; one that is not mounted yet is styled when it is."""
        if node.parent is not None or isinstance(node, (App, Screen)):
            super().update_styles(node, animate)

    # Threads

    @on(Call)
    def _call(self, message: Call) -> None:
        if self.screen_stack:  # else the app is about to end
            message.action()

    @work(thread=True, group="actions")
    def do(self, action: Callable[[], Any], then: Callable[[Any], Any] | None = None) -> None:
        """Do something slow in a thread; a DiffinvError becomes a message on screen."""
        try:
            result = action()
        except DiffinvError as error:
            tell(self, self.complain, error.neutral)
            return
        if then is not None:
            tell(self, then, result)

    def complain(self, problem: str) -> None:
        """Say what went wrong."""
        self.notify(
            plain(tilde(problem), limit=600).plain, severity="error", timeout=10, markup=False
        )

    # Plugins

    @work(thread=True, group="plugins")
    def _find_plugins(self) -> None:
        tell(self, self._take_registry, self._load_plugins())

    @work(thread=True, group="plugins")
    def reload_plugins(self) -> None:
        """Look again for what is installed and switched on."""
        tell(self, self._take_registry, self._reload_plugins())

    def _take_registry(self, registry: Registry) -> None:
        self.registry = registry
        for waiting in self._waiting:
            waiting(registry)
        self._waiting.clear()
        if isinstance(self.screen, Place) and self.screen.is_mounted:
            self.screen.take_plugins(registry)

    def with_registry(self, action: Callable[[Registry], None]) -> None:
        """Do something with the plugins, as soon as they are there."""
        if self.registry is None:
            self._waiting.append(action)
        else:
            action(self.registry)

    def with_example(self, action: Callable[[Path], None]) -> None:
        """Do something with the folder of example pictures, if a backbone brings one."""

        def find(registry: Registry) -> None:
            with contextlib.suppress(DiffinvError):
                action(find_example(registry).folder)

        self.with_registry(find)

    # Jobs

    def _poll(self) -> None:
        if not self._polling:
            self._polling = True
            self._look_at_jobs()

    def poll_soon(self) -> None:
        """Look at the jobs again at once."""
        self._seen = None
        self._poll()

    @work(thread=True, group="poll")
    def _look_at_jobs(self) -> None:
        try:
            seen = self.store.changes()
            if seen == self._seen:
                tell(self, self._rest)
                return
            jobs, reason = self.store.jobs(), self.store.pause_reason
        except DiffinvError as error:
            tell(self, self._cannot_look, error.neutral)
            return
        tell(self, self._take_jobs, jobs, reason, seen)

    def _rest(self) -> None:
        self._polling = False

    def _cannot_look(self, problem: str) -> None:
        self._polling = False
        if problem != self._told:
            self._told = problem
            self.complain(problem)

    def _take_jobs(self, jobs: list[Job], reason: str | None, seen: object) -> None:
        self._polling = False
        self._seen, self.jobs, self.pause_reason, self._told = seen, jobs, reason, None
        self._news.take(jobs)
        for screen in self.screen_stack:
            if isinstance(screen, Place) and screen.is_mounted:
                screen.take_jobs(jobs)

    def _see_to_workers(self) -> None:
        """Have workers for what waits: whoever should have started one may have died as well."""
        busy = {job.device for job in self.jobs if job.state == "running"}
        if any(j.state == "queued" and not j.held and j.device not in busy for j in self.jobs):
            self._launch_quietly()

    @work(thread=True, exclusive=True, group="launch")
    def _launch_quietly(self) -> None:
        try:
            self.launch()
        except DiffinvError as error:
            tell(self, self._cannot_look, error.neutral)

    def submit(
        self,
        requests: Sequence[Request],
        then: Callable[[list[Job]], Any],
    ) -> None:
        """Put requests into the queue and see that somebody works at it. What somebody works at
        already is not asked for twice."""

        def queue() -> tuple[list[Job], list[Job]]:
            for device in {request.device for request in requests}:
                dismiss_stale_worker(self.store, device)
            twins = [_twin(self.store, request) for request in requests]
            jobs = [
                twin or self.store.submit(request)
                for request, twin in zip(requests, twins, strict=True)
            ]
            self.launch()
            return jobs, [twin for twin in twins if twin]

        def after(found: tuple[list[Job], list[Job]]) -> None:
            then(found[0])
            self.poll_soon()
            for twin in found[1][:1]:
                self._offer(twin)

        self.do(queue, after)

    def fetch(self, missing: Sequence[ModelState]) -> None:
        """Fetch models, in a job."""
        first, more = missing[0].spec.title, len(missing) - 1
        title = f"{first} and {more} more" if more else first
        models = tuple(state.model for state in missing if state.model)

        def begun(_jobs: list[Job]) -> None:
            name = plain(title, limit=60).plain
            self.notify(f"{name}: fetching. It goes on if you leave.", markup=False)

        self.submit([FetchRequest(models, title)], begun)

    def _offer(self, job: Job) -> None:
        """Say that a job does already what was asked for, and offer to show it."""

        def after(wish: str | None) -> None:
            if wish:
                self.show_job(job.id)

        self.push_screen(running_already(job), after)

    def launch(self) -> None:
        """See that somebody works at the queue. For threads."""
        self._launch(self.store)

    def show_job(self, id: int) -> None:
        """Go to a job."""
        place = cast(JobsScreen, self._go("jobs"))
        place.call_after_refresh(place.select, id)

    # Places

    def action_go(self, mode: str) -> None:
        """To another screen."""
        self.switch_mode(mode)

    def _go(self, mode: str) -> Screen[Any]:
        """To another screen, which may be covered by a window or left again at once."""
        self.action_go(mode)
        return self.screen_stack[0]

    def run_on(self, mode: str, action: str) -> None:
        """Go to a screen, and do there what one of its keys does."""
        place = self._go(mode)
        place.call_after_refresh(place.run_action, action)

    def show_difference(self, entry: Entry) -> None:
        """Go to the library, and show a difference whole."""
        place = cast(LibraryScreen, self._go("library"))
        place.call_after_refresh(place.open, entry)

    def apply_these(self, differences: Sequence[tuple[str, Path]]) -> None:
        """To the Apply screen, with these differences on its list."""
        place = cast(ApplyScreen, self._go("apply"))
        place.call_after_refresh(place.choose, differences)

    def edit(self, request: Request) -> None:
        """Back to the form with what was asked for, to ask for it with changes."""
        self.with_registry(lambda _registry: self._edit(request))

    def _edit(self, request: Request) -> None:
        if isinstance(request, InvertRequest):
            place = cast(NewScreen, self._go("new"))
            place.call_after_refresh(place.refill, request)
        elif isinstance(request, ApplyRequest):
            self.do(partial(self._find_differences, request), partial(self._edit_apply, request))
        elif isinstance(request, FetchRequest):
            self.action_go("models")
        else:
            self.notify("What a list of pairs asks for is changed in the list; try it again then.")

    def _find_differences(self, request: ApplyRequest) -> list[tuple[str, Path, float]]:
        """Those of a request that are there still; for each other one a message."""
        there = []
        for name, strength in request.differences:
            try:
                path = self.library.find(name)
                there.append((read_info(path).name, path, strength))
            except DiffinvError as error:
                tell(self, self.complain, error.neutral)
        return there

    def _edit_apply(
        self, request: ApplyRequest, differences: list[tuple[str, Path, float]]
    ) -> None:
        place = cast(ApplyScreen, self._go("apply"))
        place.call_after_refresh(place.refill, request, differences)

    def say_not_shown(self, lost: list[str]) -> None:
        """Name what a form cannot show of what was asked for."""
        if lost:
            what = ", ".join(dict.fromkeys(lost))
            self.complain(f"Not in this form, and left as it is by default: {what}.")

    def start_demo(self) -> None:
        """Learn the example's difference and apply it to the example's pictures."""

        def start(registry: Registry) -> None:
            self.do(partial(self._demo, registry), self._demo_started)

        self.with_registry(start)

    def _demo(self, registry: Registry) -> Job:
        learn, _ = submit_demo(self.store, self.library, find_example(registry))
        self.launch()
        return learn

    def _demo_started(self, job: Job) -> None:
        self.notify("The demo learns, then applies. It goes on if you leave.")
        self.poll_soon()
        self.show_job(job.id)

    def get_key_display(self, binding: Binding) -> str:
        """A key as the footer shows it; where text is typed, help has a key that is no text."""
        if binding.id == "app.help" and binding.key in ("f1", "question_mark"):
            return "F1" if isinstance(self.focused, Input) else "?"
        return key_shown(binding.key)

    def action_ask_to_quit(self) -> None:
        """Quit, once it is said again."""

        def quit(agreed: bool | None) -> None:
            if agreed:
                self.exit()

        self.push_screen(Quit(), quit)

    def use_keys(self) -> None:
        """The keys that were chosen, over those that a browser leaves."""
        browser = IN_BROWSER if os.environ.get("TEXTUAL_DRIVER") else {}
        self.set_keymap({**browser, **self.preferences.keys})

    def preview_theme(self, name: str) -> None:
        """Look at a theme without keeping it."""
        self._preview = name
        self.theme = name

    def action_help(self) -> None:
        """Show or hide what can be done here."""
        if self.screen.query_children("Help"):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape closes the help only where it is open."""
        if action == "hide_help_panel":
            if not self.screen_stack or isinstance(self.focused, SelectOverlay):
                return False  # an open list of choices is closed first
            return bool(self.screen.query_children("Help"))
        return True

    def action_show_help_panel(self) -> None:
        """Show what can be done here, from the palette too."""
        from .widgets.help import Help  # with what shows Markdown, which the first frame is spared

        if not self.screen.query(Help):
            self.screen.mount(Help())

    # Preferences

    def prefer(self, **changes: Any) -> None:
        """Change preferences and keep them."""
        self.preferences = replace(self.preferences, **changes)
        self.do(self._keep_preferences)

    def _keep_preferences(self) -> None:
        with self._keeping:  # whoever comes last writes what is chosen last
            save_preferences(self.preferences, preferences_file())

    def _set_theme(self, name: str) -> None:
        self.theme = name if name in self.available_themes else DARK.name
        if name and self.theme != name:
            self._problems.append(f"There is no theme {name!r}; 7 shows those there are.")

    def _check_keys(self) -> None:
        if wrong := key_problems(self.preferences.keys):
            where = path_text(preferences_file())
            self._problems.append(f"{where}: under [keys], {'; '.join(wrong[:3])}.")

    def _theme_chosen(self, theme: Theme) -> None:
        self._name_styles()
        if theme.name not in (self.preferences.theme, self._preview):
            self.prefer(theme=theme.name)

    def _name_styles(self) -> None:
        """Let rich texts speak of ``good``, ``warn``, ``bad`` and ``muted`` in any theme."""
        colours = self.available_themes[self.theme].to_color_system().generate()
        names = {"good": "success", "warn": "warning", "bad": "error"}
        styles = {name: in_colour(colours[key]) for name, key in names.items()}
        self.console.push_theme(rich.theme.Theme({**styles, "muted": Style(dim=True)}))


def _twin(store: JobStore, request: Request) -> Job | None:
    """The job that does already what an application asks for. Learning the same twice is refused by
    its name."""
    return store.same_as(request) if isinstance(request, ApplyRequest) else None
