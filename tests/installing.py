"""Puts the plugins of tests/plugins where the standard library finds installed distributions."""

from __future__ import annotations

import tomllib
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


def install_project(folder: Path, project: Path) -> None:
    """The distribution of a plugin's folder, by its own pyproject.toml."""
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
    )
    entries = "".join(f"{k} = {v}\n" for k, v in about["entry-points"][GROUP].items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}")
