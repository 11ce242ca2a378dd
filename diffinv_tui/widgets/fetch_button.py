"""A button that fetches what a form lacks, all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.message import Message
from textual.widgets import Button

from diffinv.errors import DiffinvError
from diffinv.plugins.model_states import MissingModelsError, ModelState, shown_name
from diffinv.system.text import plural, readable

from .form import Checks

if TYPE_CHECKING:
    from diffinv.jobs.store import Job


class FetchButton(Button):
    """Hidden while nothing is missing; says how far the fetching is once it has begun."""

    class Wanted(Message):
        """All of it is to be fetched."""

        def __init__(self, missing: Sequence[ModelState]) -> None:
            super().__init__()
            self.missing = missing

    def __init__(self) -> None:
        super().__init__("", id="fetch")
        self._missing: tuple[ModelState, ...] = ()
        self._jobs: list[Job] = []
        self.display = False

    def offer(self, missing: Sequence[ModelState]) -> None:
        """Offer to fetch these; nothing takes the button away."""
        self._missing = tuple(missing)
        self.display = bool(missing)
        self._show()

    def show_jobs(self, jobs: list[Job]) -> None:
        """Say how far it is."""
        self._jobs = jobs
        if self._missing:
            self._show()

    def _show(self) -> None:
        left, job = self._left, fetching(self._jobs, self._missing)
        label = _progress(job) if job and not left else f"Fetch {how_much(left)}"
        if str(self.label) != label:
            self.label = label
        self.disabled = not left

    @property
    def _left(self) -> list[ModelState]:
        """What no job fetches."""
        return [state for state in self._missing if not fetching(self._jobs, [state])]

    def press(self) -> FetchButton:
        """Ask for it."""
        if left := self._left:
            self.post_message(self.Wanted(left))
        return self


def refuse(problem: DiffinvError, checks: Checks, button: FetchButton) -> None:
    """Say what is in the way; where models are missing, name them all and offer to fetch them."""
    if isinstance(problem, MissingModelsError):
        names = ", ".join(shown_name(state) for state in problem.missing)
        checks.say(bad=f"Not on this machine yet: {names}.")
        button.offer(problem.missing)
    else:
        checks.say(bad=problem.neutral)


def fetching(jobs: Sequence[Job], states: Sequence[ModelState]) -> Job | None:
    """The job that is fetching one of these models, or will."""
    from diffinv.jobs.requests import FetchRequest

    for job in jobs:
        asked = job.request.models if isinstance(job.request, FetchRequest) else ()
        if not job.is_finished and any(state.model in asked for state in states):
            return job
    return None


def how_much(missing: Sequence[ModelState]) -> str:
    """``2.6 GB``, ``all (21.5 GB)``; how many where no size is known."""
    size = sum(state.to_fetch for state in missing)
    if not all(state.to_fetch for state in missing):
        return plural(len(missing), "model") if len(missing) > 1 else "it"
    return readable(size) if len(missing) == 1 else f"all ({readable(size)})"


def _progress(job: Job) -> str:
    if job.state == "queued":
        return "Waiting to be fetched"
    return f"Fetching, {100 * job.share:.0f} %"
