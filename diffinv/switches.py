"""Which plugins the user has switched off, kept in a file for every process to see."""

from __future__ import annotations

import re

from .files import atomic_write
from .paths import data_folder

FILE = "disabled-plugins.txt"
"""In the data folder: a plugin's or a distribution's name a line."""


def plain_name(name: str) -> str:
    """A name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def switched_off() -> set[str]:
    """The names in the file, plain; none where it cannot be read."""
    try:
        text = (data_folder() / FILE).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return set()
    return {plain_name(line) for line in text.splitlines() if line.strip()}


def switch(name: str, on: bool) -> None:
    """Switch a plugin on or off from now on, in every process that looks for plugins again.

    Raises DiffinvError where that cannot be kept.
    """
    names = switched_off() - {plain_name(name)} | (set() if on else {plain_name(name)})
    text = "".join(f"{name}\n" for name in sorted(names))
    atomic_write(data_folder() / FILE, text.encode())
