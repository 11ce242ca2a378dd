"""An installed plugin as listings show it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import metadata
from typing import Literal

from ..contracts import Spec


@dataclass(frozen=True)
class PluginRow:
    """An installed plugin as listings show it. ``printed`` is what it printed while loading,
    ``commands`` the commands of a third-party plugin with a line of help each."""

    name: str
    version: str
    distribution: str
    hooks: tuple[str, ...] = ()
    status: Literal["ok", "broken", "disabled"] = "ok"
    error: str | None = None
    specs: tuple[Spec, ...] = ()
    printed: str = ""
    commands: tuple[tuple[str, str], ...] = ()

    def broken(self, error: str) -> PluginRow:
        """The same plugin, unused because of an error."""
        return replace(self, status="broken", error=error, specs=(), commands=())

    def without_commands(self, error: str) -> PluginRow:
        """The same plugin with its parts alone, because of an error in its commands."""
        fault = f"register_commands: {error} (its commands are left out)"
        return replace(self, status="broken", error=fault, commands=())


def row_of(entry: metadata.EntryPoint) -> PluginRow:
    """What an entry point says about itself, whatever state its distribution is in."""
    try:
        name = entry.dist.name if entry.dist else "unknown"
        version = entry.dist.version if entry.dist else "unknown"
    except Exception:  # a distribution with damaged metadata is still worth a row
        name, version = "unknown", "unknown"
    return PluginRow(name=entry.name, version=version or "unknown", distribution=name or "unknown")


def key_of(row: PluginRow) -> str:
    """A key that is different for every plugin."""
    return f"{row.distribution}:{row.name}"


def in_words(status: str) -> str:
    """A plugin's status in words for people."""
    return "switched off" if status == "disabled" else status
