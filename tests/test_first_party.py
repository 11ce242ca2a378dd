"""The plugins of this repository: each loads by its own entry point, and lightly."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from diffinv.hookspecs import GROUP
from diffinv.plugins.loading import load_plugins

ROOT = Path(__file__).parent.parent
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/diffinv-*/pyproject.toml"))


def project(folder: Path) -> dict:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


def entry_points() -> list[metadata.EntryPoint]:
    points = [p for folder in PLUGINS for p in project(folder)["entry-points"][GROUP].items()]
    return [metadata.EntryPoint(name, value, GROUP) for name, value in points]


def test_all_load_side_by_side():
    rows = {row.name: row for row in load_plugins(entry_points()).rows}
    assert {"diorama", "clip", "captioners"} <= set(rows)
    assert [row.error for row in rows.values()] == [None] * len(rows)


def test_their_factories_exist():
    for row in load_plugins(entry_points()).rows:
        for spec in row.specs:
            module, _, name = spec.factory.partition(":")
            assert callable(getattr(importlib.import_module(module), name)), spec.factory


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_reading_their_specs_imports_nothing_heavy(folder):
    (module,) = project(folder)["entry-points"][GROUP].values()
    code = (
        f"import sys, {module}; "
        "heavy = {'torch', 'transformers', 'diffusers', 'open_clip'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.name)
def test_the_first_install_brings_them(folder):
    installed = (ROOT / "requirements.txt").read_text().split()
    assert str(folder.relative_to(ROOT)) in installed
    assert project(folder)["license"] == "Apache-2.0"
    assert (folder / "LICENSE").is_file()
    assert (folder / "README.md").is_file()
