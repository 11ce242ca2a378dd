"""The backbone that the settings prefer: where it is taken, and when it is left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import go, shows, until
from textual.pilot import Pilot
from textual.widgets import Select

from diffinv.contracts import BackboneSpec
from diffinv.plugins.registry import Registry
from diffinv_tui.app import DiffinvApp
from diffinv_tui.config import load_preferences, preferences_file

pytestmark = pytest.mark.asyncio


def having(*ids: str) -> Registry:
    return Registry(backbones={id: BackboneSpec(id, f"Model {id}", "m:f") for id in ids})


class Plugins:
    """Plugins that are switched on and off."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def __call__(self) -> Registry:
        return having(*self.ids)

    async def switch(self, pilot: Pilot[Any], *ids: str) -> None:
        self.ids = ids
        app: Any = pilot.app
        app.reload_plugins()
        await until(pilot, lambda: app.registry and tuple(app.registry.backbones) == ids)
        await pilot.pause()


def backbone(screen: Any) -> object:
    return screen.query_one("#backbone", Select).value


@pytest.fixture
def plugins() -> Plugins:
    return Plugins("one", "two", "three")


@pytest.fixture
def app(home: Path, make_app: Callable[..., DiffinvApp], plugins: Plugins) -> DiffinvApp:
    preferences_file().parent.mkdir(parents=True, exist_ok=True)
    preferences_file().write_text('backbone = "two"\n')
    return make_app(home, plugins=plugins)


async def prefer(pilot: Pilot[Any], id: str) -> None:
    settings = await go(pilot, "settings")
    settings.query_one("#backbone", Select).value = id
    app: Any = pilot.app
    await until(pilot, lambda: app.preferences.backbone == id)


async def test_an_open_form_takes_another_default(app: DiffinvApp) -> None:
    async with app.run_test() as pilot:
        new = await go(pilot, "new")
        await until(pilot, lambda: backbone(new) == "two")
        for id, becomes in (("three", "three"), ("", "one"), ("two", "two")):
            await prefer(pilot, id)
            await go(pilot, "new")
            await until(pilot, lambda becomes=becomes: backbone(new) == becomes)


async def test_what_was_chosen_by_hand_stays(app: DiffinvApp, plugins: Plugins) -> None:
    async with app.run_test() as pilot:
        new = await go(pilot, "new")
        await until(pilot, lambda: backbone(new) == "two")
        new.query_one("#backbone", Select).value = "one"
        await prefer(pilot, "three")
        await go(pilot, "new")
        await plugins.switch(pilot, "two", "one")
        assert backbone(new) == "one"


async def test_looking_at_the_settings_keeps_them(app: DiffinvApp, plugins: Plugins) -> None:
    """Even before the plugins are there."""
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.registry)
        app.registry = None
        settings = await go(pilot, "settings")
        await shows(pilot, "two (not there now)")
        await plugins.switch(pilot, "one", "two")
        await shows(pilot, "Model two")
        await app.workers.wait_for_complete()
        assert (backbone(settings), app.preferences.backbone) == ("two", "two")


@pytest.mark.parametrize("place", ["settings", "new"])
async def test_a_preference_outlives_its_plugin(
    app: DiffinvApp, plugins: Plugins, place: str
) -> None:
    async with app.run_test() as pilot:
        screen = await go(pilot, place)
        await until(pilot, lambda: backbone(screen) == "two")
        await plugins.switch(pilot, "one", "three")
        assert backbone(screen) == ("two" if place == "settings" else "one")
        await app.workers.wait_for_complete()
        assert load_preferences(preferences_file())[0].backbone == "two"
        await plugins.switch(pilot, "one", "two", "three")
        assert backbone(screen) == "two"
