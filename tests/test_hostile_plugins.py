"""Whatever an installed plugin does, the commands work, and say what is wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from installing import MODULES, install

from diffinv.contracts import Use
from diffinv.errors import DiffinvError
from diffinv.hookspecs import GROUP
from diffinv.plugins import loading, probing
from diffinv.plugins.loading import load_plugins

HOOK = (
    "from diffinv.hookspecs import hookimpl\nfrom diffinv.contracts import EditorSpec\n@hookimpl\n"
)
EDITORS = f"{HOOK}def register_editors():\n    return [EditorSpec('e', 'E', 'm:f', "
COMMANDS = f"import click\n{HOOK}def register_commands(cli):\n"

HOSTILE = {
    "import_hangs": ("while True: pass\n", "30 seconds"),
    "hook_hangs": (
        f"import time\n{HOOK}def register_editors():\n    time.sleep(99)\n",
        "30 seconds",
    ),
    "commands_hang": (f"import time\n{COMMANDS}    time.sleep(99)\n", "30 seconds"),
    "exits_hard": ("import os\nos._exit(7)\n", "ended its process (exit code 7)"),
    "crashes": ("import ctypes\nctypes.string_at(0)\n", "ended its process (signal 11)"),
    "says_too_much": (f"{EDITORS}description='x' * 60_000_000)]\n", "longer than 5000 letters"),
    "huge_number": (f"{EDITORS}size_mb=10**5000)]\n", "no model's size"),
    "unspeakable": (
        f"class Odd(str):\n    def __repr__(self): raise ValueError('no')\n{EDITORS}"
        "description=Odd('fine'))]\n",
        None,
    ),
    "unspeakable_id": (
        "class Odd(str):\n    def __repr__(self): raise ValueError('no')\n"
        f"{EDITORS.replace(repr('e'), 'Odd(7)')})]\n",
        None,
    ),
    "help_raises": (
        f"{COMMANDS}    class Odd(click.Command):\n"
        "        def get_short_help_str(self, limit=45): raise ValueError('no help')\n"
        "    cli.add_command(Odd('odd'))\n",
        "ValueError: no help (its commands are left out)",
    ),
    "prints_later": (
        "import threading, time, os\n"
        "def speak():\n    while True: os.write(1, b'\\x1b[31mNOISE'); time.sleep(.01)\n"
        f"threading.Thread(target=speak).start()\n{EDITORS})]\n",
        None,
    ),
    "bad_defaults": (f"{EDITORS}defaults={{'x': object()}})]\n", "must be plain values"),
}


@pytest.fixture
def hostile(request, tmp_path, monkeypatch):
    name, (code, error) = request.param, HOSTILE[request.param]
    (tmp_path / f"{name}.py").write_text(code)
    install(tmp_path, name)
    modules = [str(tmp_path), str(MODULES), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(modules))
    return name, error


RUN = "import sys; from diffinv.cli import main; main()"


def diffinv(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-P", "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("hostile", HOSTILE, indirect=True)
def test_every_command_works(hostile):
    name, error = hostile
    help = diffinv("--help")
    assert (help.returncode, help.stderr) == (0, b"")
    assert b"invert" in help.stdout
    assert b"NOISE" not in help.stdout
    listed = diffinv("plugins", "list", "--json")
    assert (listed.returncode, listed.stderr) == (0, b"")
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == name]
    waits = row["error"] == probing.WAITING and "30 seconds" in (error or "")
    assert waits or (error in row["error"] if error else row["status"] == "ok")
    assert len(listed.stdout) < 100_000
    switched = diffinv("plugins", "disable", name)
    assert switched.returncode == 0, switched.stderr
    (row,) = [
        r for r in json.loads(diffinv("plugins", "list", "--json").stdout) if r["name"] == name
    ]
    assert row["status"] == "disabled"


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Installs plugins made from code, and loads everything."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def found(**plugins: str):
        for name, code in plugins.items():
            path = tmp_path / f"{name}.py"
            if not path.exists() or path.read_text() != code:
                path.write_text(code)
            if not (tmp_path / f"{name}_dist-1.2.dist-info").exists():
                install(tmp_path, name)
        return load_plugins(metadata.entry_points(group=GROUP))

    return found


def row_of(registry, name):
    (row,) = [row for row in registry.rows if row.name == name]
    return row


def test_one_without_an_answer_is_left_out_until_it_changes(found, tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "LIMIT", 0.5)
    monkeypatch.setattr(probing, "PATIENCE", 0.2)
    assert row_of(found(silent="while True: pass\n"), "silent").error == probing.WAITING
    monkeypatch.setattr(probing, "LIMIT", -9.0)
    assert "no answer within 30 seconds" in (row_of(found(), "silent").error or "")
    monkeypatch.setattr(probing, "PATIENCE", 60.0)
    monkeypatch.setattr(probing, "LIMIT", 30.0)
    assert "no answer within 30 seconds" in (row_of(found(), "silent").error or "")
    assert row_of(found(silent=f"{EDITORS})]\n"), "silent").status == "ok"


def test_enabling_it_asks_it_again(found, tmp_path, monkeypatch):
    monkeypatch.setenv("TEST_FAULT", "1")
    code = f"import os\nif os.environ.get('TEST_FAULT'): os._exit(3)\n{EDITORS})]\n"
    assert "exit code 3" in (row_of(found(moody=code), "moody").error or "")
    monkeypatch.delenv("TEST_FAULT")
    assert "exit code 3" in (row_of(found(), "moody").error or "")
    loading.look_again("moody")
    assert row_of(found(), "moody").status == "ok"


def test_a_slow_one_is_waited_for_by_who_needs_it(found, monkeypatch):
    monkeypatch.setattr(probing, "PATIENCE", 0.0)
    registry = found(slow=f"import time\ntime.sleep(1)\n{EDITORS})]\n")
    assert row_of(registry, "slow").error == probing.WAITING
    assert registry.get("editor", "e").title == "E"
    assert row_of(registry, "slow").status == "ok"


def test_what_it_registers_is_known_without_importing_it(found, tmp_path):
    marker = tmp_path / "imports"
    code = f"open({str(marker)!r}, 'a').write('x')\n{EDITORS})]\n"
    for _ in range(3):
        assert "e" in found(counted=code).editors
    assert marker.read_text() == "x"
    (tmp_path / "counted.py").write_text(code.replace("'E'", "'New'"))
    assert found().editors["e"].title == "New"
    assert marker.read_text() == "xx"
    assert "counted" not in sys.modules


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("while True: pass", "it gave no answer"),
        ("import os; os._exit(4)", "exit code 4"),
        ("raise ValueError('no')", "ValueError: no"),
        ("from diffinv.errors import UsageError; raise UsageError('Buy a bigger one.')", "bigger"),
    ],
)
def test_its_preflight_runs_elsewhere_too(found, monkeypatch, body, error):
    monkeypatch.setattr(probing, "_PREFLIGHT_LIMIT", 2.0)
    code = EDITORS.replace("Editor", "Backbone").replace("editors", "backbones")
    code = f"{code}preflight='light:check')]\ndef check(use):\n    {body}\n"
    registry = found(light=code)
    with pytest.raises(DiffinvError, match=error):
        registry.preflight(registry.backbones["e"], Use(None, "cpu"))
    told = code.replace(body, "return [use.device]")
    registry = found(light=told)
    assert registry.preflight(registry.backbones["e"], Use(None, "cpu")) == ("cpu",)


def test_a_damaged_answer_in_the_cache_is_asked_for_again(found, tmp_path):
    assert "e" in found(plain=f"{EDITORS})]\n").editors
    (answer,) = (path for path in _answers() if b'"e"' in path.read_bytes())
    whole = answer.read_bytes()
    for damaged in (b"", b"[]", b"\xff", whole[:-9], whole.replace(b'"editor"', b'"banana"')):
        answer.write_bytes(damaged)
        found()
        assert "e" in found().editors


def _answers() -> list[Path]:
    from diffinv.system.paths import cache_folder

    return list((cache_folder() / "plugins").glob("*.json"))


def test_a_cache_that_cannot_be_written_to_is_no_trouble(found, monkeypatch):
    monkeypatch.setattr(probing.os, "access", lambda *_: False)
    assert "e" in found(plain=f"{EDITORS})]\n").editors
