"""One picture at several strengths: what is asked for, and what is found of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from driving import go, screen, shows, until
from PIL import Image

from diffinv.jobs.job import Job, JobProgress
from diffinv.jobs.requests import ApplyRequest
from diffinv.jobs.sweeping import strength_folder
from diffinv.method.settings import ApplicationSettings
from diffinv.running.progress import AppliedImage
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.comparison import Comparison
from diffinv_tui.trying import STRENGTHS, Trials, in_proportion, seen, sweep, trial
from diffinv_tui.widgets.difference_view import Figure
from diffinv_tui.widgets.one_picture import OnePicture, Pair
from diffinv_tui.widgets.picture import Picture
from diffinv_tui.widgets.results_grid import ResultsGrid
from diffinv_tui.widgets.slider import Slider
from diffinv_tui.widgets.strength_strip import StrengthStrip

MakeApp = Callable[..., DiffinvApp]


@pytest.fixture
def asked(tmp_path: Path) -> ApplyRequest:
    """Two differences on a folder."""
    files = [str(tmp_path / f"{name}.safetensors") for name in "ab"]
    return ApplyRequest(
        ((files[0], -0.8), (files[1], 0.4)), (tmp_path / "in",), tmp_path / "out", replace=True
    )


def job_of(request: ApplyRequest, *strengths: tuple[float, ...], id: int = 1, **more) -> Job:
    """A job with results at these strengths."""
    outputs = [
        AppliedImage(request.images[0], request.out / strength_folder(one) / "01.png", 1.0)
        for one in strengths
    ]
    state = more.pop("state", "done")
    return Job(id, "apply", "x", state, request, "cpu", 0.0, Path("x"), outputs=outputs, **more)


def test_the_strongest_is_at_the_strength_and_others_in_proportion() -> None:
    assert in_proportion((("a", -0.8), ("b", 0.4)), 2.0) == (("a", 2.0), ("b", -1.0))
    assert in_proportion((("a", 0.0), ("b", 0.0)), 0.5) == (("a", 0.5), ("b", 0.5))
    assert in_proportion((("a", 3.0),), -0.0) == (("a", 0.0),)


def test_what_jobs_have_brought_is_found_by_strengths(asked: ApplyRequest, tmp_path: Path) -> None:
    picture, trials = tmp_path / "in" / "01.png", Trials()
    now = asked.differences
    one, all_of_them = trial(asked, picture, tmp_path), sweep(asked, picture, tmp_path)
    assert not one.replace
    assert all_of_them.differences == in_proportion(now, 1.0)
    assert all_of_them.sweep == STRENGTHS

    trials.take([], asked)
    shown = seen(trials, picture, "1 of 2", now)
    assert (shown.after, shown.label, shown.message) == (None, "After", "not tried yet")
    progress = JobProgress("Applying", 3, 20)
    trials.take([job_of(one, state="running", progress=progress)], asked)
    assert seen(trials, picture, "", now).message == "Applying 3/20"
    trials.take([job_of(one, (-0.8, 0.4))], asked)
    shown = seen(trials, picture, "", now)
    assert shown.after == tmp_path / "strength -0.8, +0.4" / "01.png"
    assert (shown.label, shown.steps) == ("After -0.8, +0.4", ())

    swept = [job_of(one, (-0.8, 0.4)), job_of(all_of_them, (2.0, -1.0), (-1.0, 0.5), id=2)]
    trials.take(swept, asked)
    shown = seen(trials, picture, "", now, looked_at=2.0)
    assert shown.after == tmp_path / "strength +2, -1" / "01.png"
    assert [step.result is not None for step in shown.steps] == [True, *[False] * 4, True]
    moved = tuple((name, 2 * weight) for name, weight in now)
    near = seen(trials, picture, "", moved)
    assert (near.label, near.place) == ("After -1, +0.5", "   -1.6, +0.8: not tried yet")

    other = replace(asked, settings=ApplicationSettings(steps=9))
    trials.take(swept, other)
    assert seen(trials, picture, "", now).after is None


@pytest.mark.asyncio
async def test_strip_sliders_and_the_large_pair(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        apply.add_image(full_home / "pictures" / "trip")
        await pilot.press("ctrl+w")  # it is done as soon as it can be
        await until(pilot, lambda: len(app.jobs) == 1)
        request = app.jobs[0].request
        strip, pair = apply.query_one(StrengthStrip), apply.query_one(Pair)
        await until(pilot, lambda: strip.has_focus and strip.steps)
        outputs = []
        for shade, strength in enumerate(STRENGTHS):
            path = request.out / strength_folder([strength]) / "01.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (64, 48), (40 * shade, 0, 0)).save(path)
            outputs.append(AppliedImage(request.images[0], path, 1.0))
        app.store._change(1, state="done", outputs=outputs)
        after = list(pair.query(Figure))[1].query_one(Picture)

        def shade() -> object:
            return after.image and after.image.getpixel((0, 0))[0]

        await until(pilot, lambda: shade() == 120, what="strength 1")
        await pilot.press("right")
        await until(pilot, lambda: shade() == 160, what="strength 1.5")
        await shows(pilot, "After +1.5")
        assert apply.query_one(Slider).value == 1.0
        await pilot.press("enter")
        assert apply.query_one(Slider).value == 1.5
        await shows(pilot, "● +1.5")
        pair.focus()
        await until(pilot, lambda: shade() == 160, what="the sliders' strength")
        apply.query_one(Slider).value = 1.6
        await shows(pilot, "01.png   1 of 6   +1.6: not tried yet")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Comparison))
        await pilot.press("left")
        await shows(pilot, "strength +1   4 of 6")
        await pilot.press("escape")
        await until(pilot, lambda: strip.cursor == 3)
        await pilot.press("right")
        await shows(pilot, "02.png")
        assert not strip.display
        await pilot.press("ctrl+r", "right", "right", "t")
        await shows(pilot, "03.png   3 of 6")
        assert pair.has_focus


@pytest.mark.asyncio
async def test_where_there_is_little_room_one_of_both_is_seen(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(80, 24)) as pilot:
        apply = await go(pilot, "apply")
        apply.choose([("desert", full_home / "diffinv" / "library" / "desert.safetensors")])
        apply.add_image(full_home / "pictures" / "trip")
        await shows(pilot, "Before (not tried yet)")
        await pilot.press("ctrl+t")
        await shows(pilot, "Before (waiting)")
        request = app.jobs[0].request
        path = request.out / "strength +1" / "01.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (64, 48), "red").save(path)
        app.store._change(1, state="done", outputs=[AppliedImage(request.images[0], path, 1.0)])
        await shows(pilot, "After +1")
        assert "Before" not in screen(app)
        apply.query_one(Pair).focus()
        await pilot.press("space")
        await shows(pilot, "Before")
        assert "After" not in screen(app)
        await pilot.press("ctrl+r")
        assert apply.query_one(ResultsGrid).has_focus
        assert not apply.query_one(OnePicture).display
