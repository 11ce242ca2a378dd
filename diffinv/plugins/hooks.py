"""Calls one plugin's hooks alone, so that another plugin's failure does not matter."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import pluggy

from .. import hookspecs
from ..system.interrupts import interruptible
from ..system.streams import swallowed
from .rows import PluginRow


def new_manager() -> pluggy.PluginManager:
    """A manager that knows every hook but no plugin yet."""
    manager = pluggy.PluginManager(hookspecs.GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


@contextlib.contextmanager
def heard(row: PluginRow) -> Iterator[io.StringIO]:
    """Run a plugin's own code, collecting what it prints; Ctrl-C ends the command."""
    with interruptible(f"the plugin {row.name!r} was being loaded"), swallowed() as printed:
        yield printed


def call(manager: pluggy.PluginManager, key: str, hook: str, **arguments: Any) -> list[Any]:
    """Call one hook of one plugin, so that another plugin's failure does not matter."""
    plugin = manager.get_plugin(key)
    others = [other for other in manager.get_plugins() if other is not plugin]
    answers: list[Any] = manager.subset_hook_caller(hook, others)(**arguments)
    return answers
