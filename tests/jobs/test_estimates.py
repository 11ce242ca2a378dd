"""How long an application will take is said by earlier ones like it, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diffinv.jobs.estimates import expected_seconds
from diffinv.jobs.job import Job
from diffinv.jobs.planning import plan_application
from diffinv.jobs.tasks import run_inversion
from diffinv.method.settings import ApplicationSettings
from diffinv.running.progress import AppliedImage


@pytest.fixture
def earlier(toy, store, learn, applied) -> Job:
    """Four pictures of 2 steps in 3 seconds each, and 10 seconds for the rest."""
    run_inversion(learn())
    done = [AppliedImage(Path(f"/{n}"), Path(f"/out/{n}"), 3.0) for n in range(4)]
    job = store.get(store.submit(applied()).id)
    return replace(job, state="done", outputs=done, started=100.0, finished=122.0)


def test_as_long_as_before_a_step_and_with_loading(earlier, applied):
    request = applied(settings=ApplicationSettings(steps=4))
    assert expected_seconds([earlier], request, plan_application(request)) == 10 + 9 * 4 * 1.5


def test_what_was_done_before_the_job_took_none_of_its_time(earlier, applied):
    job = replace(earlier, skipped=3, finished=104.0)
    assert expected_seconds([job], applied(), plan_application(applied())) == 1 + 9 * 3.0


def test_unlike_jobs_say_nothing(earlier, applied, learn):
    request = applied()
    plan = plan_application(request)
    settings = ApplicationSettings(steps=2, editor="ddim")
    others = [
        replace(earlier, device="cuda:0"),
        replace(earlier, outputs=[]),
        replace(earlier, request=learn()),
        replace(earlier, request=replace(request, settings=settings)),
        replace(earlier, request=replace(request, backbone="another=weights")),
        replace(earlier, request=replace(request, differences=(("gone", 1.0),))),
    ]
    assert expected_seconds(others, request, plan) is None
    assert expected_seconds([*others, earlier], request, plan) == 10 + 9 * 3.0
