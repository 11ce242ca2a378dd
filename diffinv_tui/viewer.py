"""Opens a file with the program that the system has for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from diffinv.errors import DiffinvError
from diffinv.system.text import path_text


def open_in_viewer(path: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Show a file; returns at once. Raises DiffinvError where there is nothing to show it with."""
    command = {"darwin": "open", "win32": "explorer"}.get(sys.platform, "xdg-open")
    desktop = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if command == "xdg-open" and not desktop:
        raise DiffinvError(f"There is no desktop here to show {path_text(path)} on.")
    try:
        subprocess.Popen(
            [command, str(path.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise DiffinvError(
            f"{command} is not installed, which would show it; the file is {path_text(path)}."
        ) from error
