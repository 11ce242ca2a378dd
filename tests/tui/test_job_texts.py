"""What is said of a job."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import sample_home
from rich.text import Text

from diffinv.jobs.counting import about
from diffinv.jobs.job import Job, JobProgress, State
from diffinv_tui import job_texts


@pytest.fixture
def jobs(full_home: Path) -> dict[int, Job]:
    listed = sample_home.sample_jobs(full_home / "diffinv", full_home / "pictures")
    return {job.id: job for job in listed}


def styles(text: Text, part: str) -> set[str]:
    start = text.plain.index(part)
    return {str(span.style) for span in text.spans if span.start <= start < span.end}


def test_a_partial_failure_does_not_look_like_success(jobs: dict[int, Job]) -> None:
    job = replace(jobs[6], failures=["01.png cannot be read."])
    for text in (job_texts.prompt(job, 36), job_texts.state_line(job)):
        assert text.plain.startswith("! ")
        assert "6 of 7 pictures, 1 failed" in text.plain
        assert styles(text, "6 of 7 pictures") == styles(text, "!") == {"warn"}
    assert job_texts.prompt(jobs[6], 36).plain.startswith("✓ ")
    failures = [f"{n}.png cannot be read." for n in range(5)]
    assert job_texts.troubles(replace(job, failures=failures)).plain.endswith("✗ and 2 more")


def test_pictures_of_an_earlier_run_are_told_apart(jobs: dict[int, Job]) -> None:
    job = replace(jobs[6], skipped=5)
    assert "1 new, 5 done before" in job_texts.prompt(job, 24).plain
    assert "1 new, 5 done before" in job_texts.state_line(job).plain


@pytest.fixture
def folder(jobs: dict[int, Job]) -> Job:
    """A job of 200 pictures that has done 6."""
    return replace(
        jobs[6],
        state="running",
        finished=None,
        progress=JobProgress("Applying", 3, 40, 0.1, 2410.0, pictures=200, share=0.04),
    )


def test_a_job_of_pictures_counts_pictures(folder: Job) -> None:
    assert job_texts.prompt(folder, 36).plain.endswith(" 6 of 200")
    said = job_texts.figures(folder, 40).plain
    assert "6 of 200, about 40 min left" in said
    assert "steps" not in said
    assert "it/s" not in said
    stopped = replace(folder, state="interrupted")
    assert "6 of 200, interrupted" in job_texts.prompt(stopped, 36).plain
    assert "left" not in job_texts.figures(stopped, 40).plain
    again = replace(folder, state="queued", deaths=2)
    assert "6 of 200, starts again" in job_texts.prompt(again, 36).plain
    assert "queued, after its worker stopped 2 times" in job_texts.state_line(again).plain


@pytest.mark.parametrize(
    ("state", "style"),
    [("running", "good"), ("interrupted", "warn"), ("cancelled", "muted"), ("failed", "bad")],
)
def test_a_bar_has_the_colour_of_what_became_of_the_job(
    folder: Job, state: State, style: str
) -> None:
    job = replace(folder, state=state, progress=replace(folder.progress, share=0.5))
    assert styles(job_texts.figures(job, 40), "━") == {style}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((3, "about 5 s"), (42, "about 40 s"), (58, "about 1 min"), (2410, "about 40 min")),
        *((3590, "about 1 h"), (12_100, "about 3 h 20 min")),
    ],
)
def test_a_time_that_nobody_knows_exactly(seconds: float, said: str) -> None:
    assert about(seconds) == said


def test_a_learned_difference_has_no_bar(jobs: dict[int, Job]) -> None:
    said = job_texts.figures(jobs[5], 40).plain
    assert said.startswith("80 steps learned")
    assert "took 48 s" in job_texts.state_line(jobs[5]).plain
    assert not job_texts.figures(jobs[6], 40)


@pytest.mark.parametrize("width", [24, 36])
def test_rows_have_number_and_time(jobs: dict[int, Job], width: int) -> None:
    for job in jobs.values():
        first, second = job_texts.prompt(job, width).plain.splitlines()
        assert first.endswith(f" #{job.id}")
        assert max(Text(line).cell_len for line in (first, second)) <= width + 2
    assert job_texts.prompt(jobs[8], width).plain.endswith(" 1 Jan")
    assert job_texts.title_line(jobs[8]).plain.endswith("job 8")
    assert job_texts.clock(time.time())[2] == ":"


def test_the_log_names_files_from_where_they_are(jobs: dict[int, Job], full_home: Path) -> None:
    pictures = full_home / "pictures"
    line = f"{pictures}/trip/01.png -> {pictures}/winter/01.png"
    log = f"{line}\n{full_home}/other.txt [bold]\x1b[31m"
    assert job_texts.log_text(jobs[6], log).plain.splitlines()[0] == "trip/01.png -> winter/01.png"
    last = job_texts.log_text(jobs[6], log).plain.splitlines()[1]
    assert last.startswith("~/other.txt [bold]")
    assert "\x1b" not in last


def test_a_job_that_waits_for_another_says_so(jobs: dict[int, Job]) -> None:
    job = replace(jobs[8], waits_for=7)
    assert "queued, after job 7" in job_texts.state_line(job).plain
    assert "after job" not in job_texts.state_line(replace(job, state="done")).plain
