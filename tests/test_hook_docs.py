"""Every hook has a chapter in docs/plugins.md whose example works, and a test plugin."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from diffinv import hookspecs
from diffinv.conformance import check_part
from diffinv.evaluation.bench import ModelBench
from diffinv.plugins.checking import COMMANDS_HOOK, HOOKS, kind_of
from diffinv.plugins.loading import load_plugins

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
NAMES = [name for name, value in vars(hookspecs).items() if hasattr(value, "diffinv_spec")]


def chapter(hook: str) -> str:
    found = re.search(rf"^## {hook}\n(.*?)(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL)
    assert found, f"docs/plugins.md has no chapter '## {hook}'"
    return found[1]


def test_the_hooks_are_all_of_the_interface():
    assert set(NAMES) == {*HOOKS, COMMANDS_HOOK}
    assert len(NAMES) == 7


def test_no_chapter_speaks_of_a_hook_that_is_gone():
    assert re.findall(r"^## (register_\w+)$", DOCS, re.MULTILINE) == NAMES


@pytest.mark.parametrize("hook", NAMES)
def test_the_example_of_a_chapter_is_a_working_plugin(hook, tmp_path, monkeypatch):
    (example,) = re.findall(r"^```python\n(.*?)^```$", chapter(hook), re.MULTILINE | re.DOTALL)
    (tmp_path / "example_plugin.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "example_plugin", raising=False)
    found = load_plugins([metadata.EntryPoint("example", "example_plugin", hookspecs.GROUP)])
    (row,) = found.rows
    assert (row.status, row.error, row.hooks) == ("ok", None, (hook,))
    if hook == COMMANDS_HOOK:
        cli = click.Group()
        found.register_commands(cli)
        assert CliRunner().invoke(cli, ["example", "you"]).output == "hello you\n"
        return
    (spec,) = row.specs
    if kind_of(spec) == "method":
        part = found.create_method(spec, None, ModelBench(device="cpu"), {})
    else:
        part = found.create(spec, None, None if kind_of(spec) == "editor" else "cpu")
    failed = [f"{r.name}: {r.detail}" for r in check_part(kind_of(spec), part) if not r.passed]
    assert failed == []
    sys.modules.pop("example_plugin", None)


@pytest.mark.parametrize("hook", NAMES)
def test_every_hook_has_a_test_plugin_that_a_test_installs(hook):
    plugins = ROOT / "tests" / "plugins"
    having = [p.stem for p in plugins.glob("*.py") if f"def {hook}(" in p.read_text()]
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    assert [name for name in having if f'"{name}"' in tests], f"no test uses {hook}"


def test_the_number_of_promises_is_right():
    from diffinv.conformance.backbone import CHECKS

    assert f"{len(CHECKS)} promises" in DOCS


def test_commands_in_the_text_exist():
    from diffinv.cli.app import cli

    plugins = cli.commands["plugins"]
    assert isinstance(plugins, click.Group)
    named = set(re.findall(r"diffinv plugins (\w+)", DOCS))
    assert {"list", "check", "install"} <= named <= set(plugins.commands)
    assert "--no-plugins" in {option for p in cli.params for option in p.opts}
