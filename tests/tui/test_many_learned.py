"""A job that learns many differences, in the list of jobs and beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, shows, until

from diffinv.jobs.job import JobProgress
from diffinv.jobs.requests import InvertManyRequest, InvertRequest
from diffinv.running.progress import AppliedImage
from diffinv_tui.app import DiffinvApp

pytestmark = pytest.mark.asyncio


async def test_it_counts_what_is_in_the_library_and_leads_there(
    full_home: Path, make_app: Callable[..., DiffinvApp]
) -> None:
    app = make_app(full_home)
    store: Any = app.store
    store.list = []
    pair = Path("/a.png"), Path("/b.png")
    request = InvertManyRequest(tuple(InvertRequest((pair,), name=f"n{i}") for i in range(9)))
    kept = [AppliedImage(Path("/a.png"), Path(f"/library/n{i}.safetensors"), 1.0) for i in range(4)]
    id = store.submit(request).id
    store._change(
        id,
        state="running",
        title="pairs.csv: 9 differences",
        outputs=kept,
        progress=JobProgress("Learning the differences", 40, 90, eta=60.0, pictures=9, share=0.44),
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "jobs")
        await shows(pilot, "pairs.csv: 9 differences")
        await shows(pilot, "4 of 9, about 1 min left")
        assert not app.screen.query_one("#job-wall").display
        store._change(id, state="done", failures=["n8: A and A′ are the same picture"])
        await shows(pilot, "4 of 5 differences, 1 failed")
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == "library")
