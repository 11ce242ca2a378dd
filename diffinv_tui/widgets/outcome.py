"""What comes of an application: one picture that is tried, or all results as they come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from textual import on
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, ContentSwitcher, Static

from ..formatting import duration, plain
from .one_picture import OnePicture
from .pair_grid import PairGrid
from .results_grid import Result, ResultsGrid

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from diffinv.jobs.store import Job
    from diffinv.running.progress import AppliedImage

View = Literal["one", "all"]
_BEGIN = """Choose a difference and pictures.

One of them is shown here, to be tried before all are made."""


class Outcome(Vertical):
    """The right half of the Apply screen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view: View = "one"
        self._is_empty = True
        self._count = ""

    def compose(self) -> ComposeResult:
        """A line that says where one is, and both views."""
        with Horizontal(id="views"):
            yield Button("One picture", id="view-one", compact=True, classes="-here")
            yield Button("Results", id="view-all", compact=True)
            yield Static("", id="results-title")
        yield Static("", id="results-trouble")
        with ContentSwitcher(initial="begin"):
            yield Static(_BEGIN, id="begin", classes="notice")
            yield OnePicture(id="one")
            yield ResultsGrid(id="wall")

    def show(self, view: View) -> None:
        """Change between the picture and the results."""
        self.view = view
        for name in ("one", "all"):
            self.query_one(f"#view-{name}", Button).set_class(name == view, "-here")
        shown = {"one": "one", "all": "wall"}[view]
        self.query_one(ContentSwitcher).current = "begin" if self._is_empty else shown

    def show_results(self, results: Sequence[Result], jobs: Sequence[Job] = ()) -> None:
        """All results, or what will have some; those of jobs with what went wrong."""
        self.query_one(ResultsGrid).show(results)
        self._is_empty = not results
        self.show(self.view)
        done = sum(result.after is not None for result in results)
        said = f"{len(results)} to come" if results else ""
        self._count = f"{done} of {len(results)}" if jobs else said
        self._say_count()
        errors = [job.error for job in jobs if job.error][:1]
        self.say_trouble(errors[0] if errors else "")

    @on(PairGrid.Moved)
    def _say_count(self) -> None:
        """How many there are, or how many of those that are seen alone."""
        said = self.query_one(ResultsGrid).sifted or self._count
        self.query_one("#results-title", Static).update(plain(said, "muted"))

    def say_trouble(self, problem: str) -> None:
        """What went wrong, if something did."""
        trouble = self.query_one("#results-trouble", Static)
        trouble.update(plain(f"✗ {problem}", "bad", 300))
        trouble.display = bool(problem)


def result_of(job: Job, one: AppliedImage) -> Result:
    """A result, with its strength if the job makes several, else with how long it took."""
    swept = getattr(job.request, "sweep", ())
    about = one.output.parent.name if swept else duration(one.seconds)
    return Result(one.input, one.output, about, getattr(job.request, "out", None))


def results_of(job: Job, inputs: Sequence[Path]) -> list[Result]:
    """What a job has brought so far, and what is missing of these pictures' results."""
    missing = {"done": "failed", "running": "waiting"}.get(job.state, job.state)
    wanted = max(1, getattr(job.request, "results", 1))
    done: dict[Path, list[Result]] = {path: [] for path in inputs}
    for one in job.outputs:
        done.setdefault(one.input, []).append(result_of(job, one))
    return [
        result
        for path, results in done.items()
        for result in (*results, *[Result(path, None, missing)] * (wanted - len(results)))
    ]
