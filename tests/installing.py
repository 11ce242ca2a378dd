"""Puts the plugins of tests/plugins where the standard library finds installed distributions."""

from __future__ import annotations

from pathlib import Path

from diffinv.hookspecs import GROUP

MODULES = Path(__file__).parent / "plugins"


def install(folder: Path, *modules: str) -> None:
    """A distribution for each module, as pip leaves it."""
    for module in modules:
        info = folder / f"{module}_dist-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {module}-dist\nVersion: 1.2\n"
        )
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{module} = {module}\n")
