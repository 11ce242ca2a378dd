"""Plugins from the app: installed by the real pip into an environment, switched off and on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import go, screen, shows, until
from installing import borrowing_environment, build_wheel
from textual.widgets import Input, Log

from diffinv.plugins.loading import registry
from diffinv.plugins.switches import switched_off
from diffinv_tui.app import DiffinvApp
from diffinv_tui.screens.install import InstallPlugin

pytestmark = pytest.mark.asyncio
MakeApp = Callable[..., DiffinvApp]

PLUGIN = """
from diffinv.contracts import CaptionerSpec
from diffinv.hookspecs import hookimpl

@hookimpl
def register_captioners():
    return [CaptionerSpec(id="tiny", title="Tiny words", factory="tiny_words:make")]
"""


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Where pip installs to: an environment of its own, whose packages are found here too."""
    folder = tmp_path_factory.mktemp("environment")
    site = borrowing_environment(folder / "env", folder)
    monkeypatch.setattr(sys, "executable", str(folder / "env" / "bin" / "python"))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    registry.cache_clear()
    yield site
    sys.modules.pop("tiny_words", None)
    registry.cache_clear()


async def ask_for(pilot, what: object) -> None:
    await pilot.press("i")
    await shows(pilot, "Install a plugin")
    pilot.app.screen.query_one(Input).value = str(what)
    await pilot.press("enter")


async def test_a_plugin_is_installed_then_switched_off_and_on(
    home: Path, make_app: MakeApp, environment: Path
) -> None:
    wheel = build_wheel(home, "tiny_words", code=PLUGIN)
    app = make_app(home, jobs=False)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        new = await go(pilot, "new")
        await go(pilot, "plugins")
        await shows(pilot, "diorama")
        await ask_for(pilot, wheel)
        await shows(pilot, "tiny-words  not installed → 1.0", 60)
        assert not list(environment.glob("tiny_words*"))
        await pilot.press("enter")
        await shows(pilot, "✓ Installed", 60)
        heard = "\n".join(app.screen.query_one(Log).lines)
        assert "Successfully installed tiny" in heard
        assert (environment / "tiny_words.py").exists()
        await pilot.press("escape")
        await shows(pilot, "Tiny words")
        assert "✓ tiny_words" in screen(app)

        await pilot.press("space")
        await shows(pilot, "○ tiny_words")
        await shows(pilot, "is switched off, for new jobs")
        assert switched_off() == {"tiny-words"}
        assert "tiny" not in app.registry.captioners
        await pilot.press("space")
        await shows(pilot, "✓ tiny_words")
        await go(pilot, "new")
        titles = [str(prompt) for prompt, _ in new.query_one("#captioner")._options]
        assert "Tiny words" in titles


async def test_what_may_not_or_cannot_be_installed_is_one_sentence(
    home: Path, make_app: MakeApp, environment: Path
) -> None:
    app = make_app(home, jobs=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await go(pilot, "plugins")
        await ask_for(pilot, "./nowhere")
        await shows(pilot, "There is no folder or wheel")
        line = app.screen.query_one(Input)
        for what, said in {
            build_wheel(home, "torch", "0.0.1"): "would change torch from",
            "diffinv-no-such-plugin": "pip cannot install it: ",
            build_wheel(home, "textual", "0.0.1"): "would change textual from",
        }.items():
            await until(pilot, lambda: not line.disabled)
            line.value = str(what)
            line.focus()
            await pilot.press("enter")
            await shows(pilot, said, 60)
        assert not app.screen.query_one(Log).display
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, InstallPlugin))
