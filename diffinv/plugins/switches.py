"""Which plugins not to load: switched off by the user, for all processes, or by the
environment."""

from __future__ import annotations

import os
import re

from ..hookspecs import GROUP
from ..system.files import atomic_write
from ..system.paths import data_folder
from .rows import PluginRow

DISABLED = "DIFFINV_DISABLE_PLUGINS"
"""The environment variable with the plugins, or their distributions, not to load, separated by
commas."""

ONLY_OWN = "DIFFINV_NO_PLUGINS"
"""The environment variable that keeps all third-party plugins from being loaded."""

SWITCHED_OFF = "it is switched off; 'diffinv plugins enable' uses it again"
"""Why a plugin that the user has switched off is not loaded."""

OWN_DISTRIBUTIONS = (
    "diffinv",
    "diffinv-diorama",
    "diffinv-stable-diffusion",
    "diffinv-clip",
    "diffinv-captioners",
    "diffinv-rivals",
    "diffinv-flow",
)
"""The project's own distributions; plugins from any other are third-party."""

FILE = "disabled-plugins.txt"
"""In the data folder: one name of a plugin or distribution per line."""


def plain_name(name: str) -> str:
    """A name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def switched_off() -> set[str]:
    """The names in the file, in plain form; none if it cannot be read."""
    try:
        text = (data_folder() / FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return set()
    return {plain_name(line) for line in text.splitlines() if line.strip()}


def switch(name: str, on: bool) -> None:
    """Switch a plugin on or off from now on, in every process that looks for plugins again.

    Raises DiffinvError if that cannot be saved.
    """
    names = switched_off() - {plain_name(name)} | (set() if on else {plain_name(name)})
    text = "".join(f"{name}\n" for name in sorted(names))
    atomic_write(data_folder() / FILE, text.encode())


def is_own(row: PluginRow) -> bool:
    """Whether a plugin is one of the project's own."""
    return plain_name(row.distribution) in OWN_DISTRIBUTIONS


def can_be_disabled(row: PluginRow) -> bool:
    """Whether a plugin can be switched off; diffinv's own parts cannot."""
    return plain_name(row.distribution) != GROUP


def disabled(row: PluginRow) -> str | None:
    """Why a plugin is not loaded, or None. diffinv's own parts always are."""
    if not can_be_disabled(row):
        return None
    names = {plain_name(row.distribution), plain_name(row.name)}
    if names & {plain_name(name) for name in os.environ.get(DISABLED, "").split(",")}:
        return f"{DISABLED} names it"
    if names & switched_off():
        return SWITCHED_OFF
    if os.environ.get(ONLY_OWN, "") not in ("", "0") and not is_own(row):
        return "third-party plugins are switched off (--no-plugins)"
    return None
