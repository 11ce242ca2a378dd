"""The command palette: every place, and what can be done there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from . import bindings
from .widgets.navbar import PLACES

if TYPE_CHECKING:
    from .services import Services

_BY_MODE = {
    "library": bindings.LIBRARY,
    "new": bindings.NEW,
    "jobs": bindings.JOBS,
    "apply": bindings.APPLY,
    "models": bindings.MODELS,
    "plugins": bindings.PLUGINS,
}


class DiffinvCommands(Provider):
    """Places to go, the demo, and the actions of the screen one is on."""

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        app, mode_now = cast("Services", self.app), self.app.current_mode
        for mode, title in PLACES.items():
            yield f"Go to {title}", "", partial(app.action_go, mode)
        yield "Run the demo", "Learn and apply an example; downloads nothing", app.start_demo
        for binding in _BY_MODE.get(mode_now, []):
            if isinstance(binding, Binding) and not binding.action.startswith("app."):
                run = partial(self.screen.run_action, binding.action)
                title = f"{PLACES[mode_now]}: {binding.description}"
                yield title, bindings.key_shown(binding.key), run

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for title, help, run in self._commands():
            yield DiscoveryHit(title, run, help=help)

    async def search(self, query: str) -> Hits:
        """What has the letters typed in it."""
        matcher = self.matcher(query)
        for title, help, run in self._commands():
            if (score := matcher.match(title)) > 0:
                yield Hit(score, matcher.highlight(title), run, help=help)
