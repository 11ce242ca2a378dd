"""What screens may ask of the app, so that none of them has to know its class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from diffinv.jobs.requests import Request
    from diffinv.jobs.store import Job, JobStore
    from diffinv.plugins.model_states import ModelState
    from diffinv.plugins.registry import Registry
    from diffinv.storage.store import Entry, Library

    from .config import Preferences


class Services(Protocol):
    """The app as its screens see it. All of it is for the app's own thread unless said otherwise.

    ``registry`` is None until the plugins are loaded, ``jobs`` are as they were last seen,
    ``pause_reason`` says why the queue stands still, ``picked`` is the folder that a picture was
    last picked from.
    """

    library: Library
    store: JobStore
    registry: Registry | None
    jobs: list[Job]
    pause_reason: str | None
    picked: Path
    preferences: Preferences

    # Work and messages

    def do(self, action: Callable[[], Any], then: Callable[[Any], Any] | None = None) -> object:
        """Do something slow in a thread; a DiffinvError becomes a message on screen."""

    def complain(self, problem: str) -> None:
        """Say what went wrong."""

    def say_not_shown(self, lost: list[str]) -> None:
        """Name what a form cannot show of what was asked for."""

    def use_keys(self) -> None:
        """From now on, the keys of the preferences."""

    def preview_theme(self, name: str) -> None:
        """Look at a theme without keeping it."""

    def prefer(self, **changes: Any) -> None:
        """Change preferences and keep them."""

    # Plugins

    def with_registry(self, action: Callable[[Registry], None]) -> None:
        """Do something with the plugins, as soon as they are there."""

    def with_example(self, action: Callable[[Path], None]) -> None:
        """Do something with the folder of example pictures, if a backbone brings one."""

    def reload_plugins(self) -> object:
        """Look again for what is installed and switched on."""

    # Jobs

    def submit(
        self,
        requests: Sequence[Request],
        then: Callable[[list[Job]], Any],
    ) -> None:
        """Put requests into the queue and see that somebody works at it."""

    def fetch(self, missing: Sequence[ModelState]) -> None:
        """Fetch models, in a job."""

    def launch(self) -> None:
        """See that somebody works at the queue. For threads."""

    def poll_soon(self) -> None:
        """Look at the jobs again at once."""

    def start_demo(self) -> None:
        """Learn the example's difference and apply it to the example's pictures."""

    # Places

    def action_go(self, mode: str) -> None:
        """Go to another screen."""

    def run_on(self, mode: str, action: str) -> None:
        """Go to a screen, and do there what one of its keys does."""

    def show_difference(self, entry: Entry) -> None:
        """Go to the library, and show a difference whole."""

    def show_job(self, id: int) -> None:
        """Go to a job."""

    def apply_these(self, differences: Sequence[tuple[str, Path]]) -> None:
        """Go to the Apply screen, with these differences on its list."""

    def edit(self, request: Request) -> None:
        """Go back to the form with what was asked for, to ask for it with changes."""
