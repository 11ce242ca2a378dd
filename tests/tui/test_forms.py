"""The forms: what stays in them, and jobs that come back to be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from driving import go, screen, shows, until
from textual.pilot import Pilot
from textual.widgets import Button, Input, Select

from diffinv.jobs.requests import ApplyRequest, InvertRequest
from diffinv.method.settings import ApplicationSettings, inversion_settings
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.new import PairRow
from diffinv_tui.widgets.chosen_rows import Chosen, Source
from diffinv_tui.widgets.picture_field import PictureField
from diffinv_tui.widgets.slider import Slider

MakeApp = Callable[..., DiffinvApp]


async def told(pilot: Pilot[Any], *parts: str) -> None:
    """Wait until a message has all of these in it."""

    def is_told() -> bool:
        messages = [message.message for message in pilot.app._notifications]
        return any(all(part in message for part in parts) for message in messages)

    await until(pilot, is_told, what=" and ".join(parts))


@pytest.mark.asyncio
async def test_the_form_stays_after_its_start(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        new = await go(pilot, "new")
        for field, name in zip(new.query(PictureField), ("before", "after"), strict=True):
            field.choose(full_home / "pictures" / f"{name}.png")
        start = new.query_one("#start", Button)
        await until(pilot, lambda: not start.disabled)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.current_mode == "jobs")
        await go(pilot, "new")
        await shows(pilot, "Job 1 learns this.")
        assert start.disabled
        assert new.query(PairRow).first().paths[0] is not None
        new.query_one("#name", Input).value = "another"
        await until(pilot, lambda: not start.disabled)


@pytest.mark.asyncio
async def test_a_job_comes_back_to_be_changed(full_home: Path, make_app: MakeApp) -> None:
    app, pictures = make_app(full_home), full_home / "pictures"
    pair = (pictures / "before.png", pictures / "after.png")
    asked = InvertRequest(
        pairs=(pair, pair),
        name="again",
        tags=("snow", "winter"),
        captioner="diorama",
        captions=(("a", "b"), ("a", "b")),
        settings=inversion_settings(
            "paper", steps=7, token_space="input", seed=3, side=64, preview=0
        ),
        device="cpu",
        library=app.library.folder,
    )
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "11 differences")
        app.edit(asked)
        await until(pilot, lambda: app.screen.query("#device"))
        new = app.screen
        await until(pilot, lambda: new.query_one("#device", Input).value == "cpu")
        await until(pilot, lambda: new.query_one("#captioner", Select).value == "diorama")
        wanted = replace(asked, tags=(), backbone=new.query_one("#backbone", Select).value)
        assert new.request() == wanted
        assert new.query_one("#tags", Input).value == "snow winter"
        app.edit(replace(asked, pairs=(pair,), captions=(), backbone="diorama=/some/where"))
        await told(pilot, "Not in this form", "diorama=/some/where")
        assert len(new.query(PairRow)) == 1
        odd = replace(asked.settings, tc_norm="mse", lambda_clip=0.5)
        app.edit(replace(asked, settings=odd, captions=(("a", "b"), ("c", "d")), memory="low"))
        await told(pilot, "lambda clip 0.5, tc norm mse, captions", "memory low")


@pytest.mark.asyncio
async def test_an_application_comes_back_to_be_changed(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    file = app.library.find("first snow")
    asked = ApplyRequest(
        differences=((str(file), -0.5),),
        images=(full_home / "pictures" / "trip", full_home / "pictures" / "before.png"),
        out=full_home / "elsewhere",
        prompt_b="a castle",
        settings=ApplicationSettings(steps=9, mask=False),
        library=app.library.folder,
    )
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "11 differences")
        app.edit(asked)
        await until(pilot, lambda: app.current_mode == "apply" and app.screen.query(Source))
        await shows(pilot, "-0.5")
        await until(pilot, lambda: app.screen.request() == asked, what="the same request")
        app.edit(replace(asked, backbone="diorama"))
        await pilot.pause(0.5)
        assert not app._notifications
        there = ((asked.out, "s3://bucket/out"),)
        app.edit(replace(asked, mirrors=there))
        await told(pilot, "Not in this form", "the address s3://bucket/out")
        await until(pilot, lambda: app.screen.request().out.parent == Path.home())
        app.edit(replace(asked, memory="low", backbone="diorama=/x"))
        await told(pilot, "memory low", "model diorama=/x")
        further = replace(
            asked,
            differences=((str(file), 3.25),),
            settings=replace(asked.settings, mask_grow=2.5, negative_prompt="fog", seed=4),
            results=3,
            size="2048",
            format="webp",
            quality=80,
            strip=True,
            provenance=False,
            mask=full_home / "pictures" / "after.png",
            save_masks=True,
            batch=2,
            replace=True,
            device="cpu",
        )
        app.edit(further)
        await until(pilot, lambda: app.screen.request() == further, what="all that was asked for")
        app.edit(replace(asked, differences=(("nowhere", 1.0), (str(file), 0.7))))
        await told(pilot, "There is no difference 'nowhere'")
        await until(pilot, lambda: [r.strength for r in app.screen.query(Chosen)] == [0.7])
        await pilot.press("ctrl+l")
        await until(pilot, lambda: not app.screen.query(Source))
        assert app.screen.request().settings == ApplicationSettings()
        assert not app.screen.request().replace


@pytest.mark.asyncio
@pytest.mark.parametrize("keys", [["ctrl+n", "ctrl+x"], ["ctrl+n", "ctrl+l"]])
async def test_keys_in_a_burst_on_pairs(
    full_home: Path, make_app: MakeApp, keys: list[str]
) -> None:
    app = make_app(full_home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        for key in keys * 3:
            app.simulate_key(key)
        await pilot.pause(0.3)
        await until(pilot, lambda: len(new.query(PairRow)) == 1)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("mode", "keys"), [("library", "a1"), ("library", "a3"), ("jobs", "e1"), ("jobs", "e3e31")]
)
async def test_a_screen_that_is_left_at_once(
    full_home: Path, make_app: MakeApp, mode: str, keys: str
) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, "11 differences")
        if mode == "jobs":
            await go(pilot, "jobs")
            await shows(pilot, "harvest")
            app.screen.select(4)
            await shows(pilot, "e Edit")
        for key in keys:
            app.simulate_key(key)
        await pilot.pause(0.5)
        assert app.current_mode == ("jobs" if keys.endswith("3") else "library")


@pytest.mark.asyncio
async def test_settings_of_a_job_come_back_to_the_digit(full_home: Path, make_app: MakeApp) -> None:
    app, pictures = make_app(full_home), full_home / "pictures"
    asked = InvertRequest(
        pairs=((pictures / "before.png", pictures / "after.png"),),
        settings=inversion_settings("default", token_space="output", tokens=1, lr=0.123456789),
        library=app.library.folder,
    )
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.edit(asked)
        await until(pilot, lambda: app.current_mode == "new" and app.screen.query("#device"))
        await until(pilot, lambda: app.screen.request().settings == asked.settings)
        assert not app._notifications


@pytest.mark.asyncio
async def test_a_name_that_a_job_is_about_to_take(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40)) as pilot:
        new = await go(pilot, "new")
        await until(pilot, lambda: app.jobs)
        for field, name in zip(new.query(PictureField), ("before", "after"), strict=True):
            field.choose(full_home / "pictures" / f"{name}.png")
        new.query_one("#name", Input).value = "winter"
        await shows(pilot, "Job 7 learns a 'winter' already")


@pytest.mark.asyncio
async def test_e_opens_a_job_in_its_form(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await go(pilot, "jobs")
        await shows(pilot, "harvest")
        app.screen.select(4)
        await shows(pilot, "e Edit")
        await pilot.press("e")
        await until(pilot, lambda: app.current_mode == "new")
        await shows(pilot, "before.png")


@pytest.mark.asyncio
async def test_strengths_stay_and_pictures_can_be_taken_away(
    full_home: Path, make_app: MakeApp
) -> None:
    app = make_app(full_home)
    files = [(name, app.library.find(name)) for name in ("first snow", "sunset")]
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "11 differences")
        app.apply_these(files[:1])
        await until(pilot, lambda: isinstance(app.focused, Slider))
        await pilot.press("left", "left")
        app.apply_these(files)
        await until(pilot, lambda: len(app.screen.query(Slider)) == 2)
        assert [row.strength for row in app.screen.query(Chosen)] == [0.8, 1.0]
        apply = app.screen
        for name in ("trip", "before.png"):
            apply.add_image(full_home / "pictures" / name)
        await until(pilot, lambda: len(apply.query(Source)) == 2)
        await shows(pilot, "7 pictures")
        apply.query(Source).first().query_one(Button).press()
        await until(pilot, lambda: len(apply.query(Source)) == 1)
        await shows(pilot, "1 picture,")
        assert "trip" not in screen(app).split("Save to")[0]


@pytest.mark.asyncio
async def test_marks_go_with_what_was_done(full_home: Path, make_app: MakeApp) -> None:
    app = make_app(full_home)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await shows(pilot, "11 differences")
        await pilot.press("space", "space", "a")
        await until(pilot, lambda: len(app.screen.query(Chosen)) == 2)
        await go(pilot, "library")
        await shows(pilot, "11 differences")
        await pilot.press("home", "space", "space", "d")
        await shows(pilot, "2 differences are in the trash")
        await pilot.press("u")
        await shows(pilot, "10 differences")
