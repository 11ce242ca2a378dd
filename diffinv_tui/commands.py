"""The command palette: every screen, what can be done on each, and every difference."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from diffinv.errors import DiffinvError

from . import bindings
from .formatting import plain
from .widgets.difference_list import change_of
from .widgets.navbar import PLACES

if TYPE_CHECKING:
    from diffinv.storage.store import Entry

    from .services import Services

_BY_MODE = {
    "library": bindings.LIBRARY,
    "new": bindings.NEW,
    "jobs": bindings.JOBS,
    "apply": bindings.APPLY,
    "models": bindings.MODELS,
    "plugins": bindings.PLUGINS,
}


_FOUND = 30
"""Differences that are offered at most: more letters find the others."""


class DiffinvCommands(Provider):
    """Places to go, the demo, the actions of all screens, those of the one one is on first."""

    def _commands(self) -> Iterator[tuple[str, str, Callable[[], Any]]]:
        app, mode_now = cast("Services", self.app), self.app.current_mode
        for mode, title in PLACES.items():
            yield f"Go to {title}", "", partial(app.action_go, mode)
        yield "Run the demo", "Learn and apply an example; downloads nothing", app.start_demo
        for mode in sorted(_BY_MODE, key=lambda mode: mode != mode_now):
            for key in _BY_MODE[mode]:
                if isinstance(key, Binding) and not _only_goes(key):
                    title = f"{PLACES[mode]}: {key.description}"
                    run = partial(app.run_on, mode, key.action)
                    yield title, bindings.key_shown(key.key), run

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


def _only_goes(key: Binding) -> bool:
    return key.action.startswith("app.") or key.key == "escape"


class Differences(Provider):
    """Every difference of the library, found as its own search finds them."""

    async def search(self, query: str) -> Hits:
        """Those that the words typed find."""
        app = cast("Services", self.app)
        for entry in await to_thread(self._find, query):
            about = change_of(entry) if entry.info else "damaged"
            run = partial(app.show_difference, entry)
            yield Hit(0.5, plain(entry.name, limit=80), run, help=plain(about, limit=120).plain)

    def _find(self, query: str) -> list[Entry]:
        with suppress(DiffinvError):  # half of a filter is typed
            return cast("Services", self.app).library.search(query, "name", _FOUND)
        return []
