"""``diffinv plugins check`` and ``install``, and the ways to leave plugins out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from installing import (
    MODULES,
    borrowing_environment,
    build_wheel,
    install,
    install_project,
)

from diffinv.cli import app
from diffinv.errors import DiffinvError, UsageError
from diffinv.plugins import installing as pip
from diffinv.plugins.loading import installed_plugins, registry, reload_if_changed
from diffinv.plugins.switches import switch

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "plugins" / "template"


@pytest.fixture
def diffinv(tmp_path, monkeypatch, capsys):
    """Run a command line in this process, with test plugins and the template installed."""
    install(tmp_path / "site", "toy", "good", "prints", "bad_import")
    install_project(tmp_path / "site", TEMPLATE)
    for folder in (MODULES, TEMPLATE, tmp_path / "site"):
        monkeypatch.syspath_prepend(str(folder))
    registry.cache_clear()

    def run(*args: object):
        code = app.run([str(arg) for arg in args])
        return code, *capsys.readouterr()

    yield run
    registry.cache_clear()


def one_sentence(err: str) -> bool:
    lines = err.strip().splitlines()
    return len(lines) == 1 and lines[0].startswith("Error: ") and lines[0].endswith(".")


# check


def test_the_template_keeps_every_promise(diffinv):
    code, out, err = diffinv("plugins", "check", "template", "--device", "cpu")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        "backbone template",
        "captioner template",
        "delta encoder template",
    ]
    assert out.count("none failed") == 3
    assert "FAIL" not in out
    assert "timesteps(n) gives n of the schedule's timesteps, strictly descending" in out


def test_the_report_as_json(diffinv):
    code, out, _ = diffinv("plugins", "check", "template", "--kind", "captioner", "--json")
    (report,) = json.loads(out)
    assert (code, report["kind"], report["id"], report["passed"]) == (0, "captioner", "template", 1)
    assert {"name", "promise", "passed", "detail"} == set(report["checks"][0])


def test_a_broken_promise_is_shown_and_ends_with_1(diffinv):
    code, out, _ = diffinv("plugins", "check", "good")
    assert code == 1
    assert "FAIL" in out
    assert "timesteps_descend: AttributeError" in out
    code, out, _ = diffinv("plugins", "check", "noisy", "--json")
    (report,) = json.loads(out)
    assert (code, report["passed"]) == (1, False)


def test_what_cannot_be_checked_is_one_sentence(diffinv):
    for args, code in {
        ("no-such-part",): 2,
        ("template", "--kind", "editor"): 2,
        ("good=nowhere", "--kind", "captioner"): 2,
        ("template=/no/such.safetensors", "--kind", "backbone"): 1,
        ("=x",): 2,
    }.items():
        found, out, err = diffinv("plugins", "check", *args)
        assert (found, out) == (code, "")
        assert one_sentence(err)


# Leaving plugins out


def rows(diffinv, *options):
    code, out, _ = diffinv(*options, "plugins", "list", "--json")
    assert code == 0
    return {row["name"]: row for row in json.loads(out)}


@pytest.mark.parametrize(
    "name", ["template", "diffinv-template", " Diffinv_Template ", "x,template"]
)
def test_a_setting_disables_a_plugin(diffinv, monkeypatch, name):
    monkeypatch.setenv("DIFFINV_DISABLE_PLUGINS", name)
    found = rows(diffinv)
    assert found["template"]["status"] == "disabled"
    assert "DIFFINV_DISABLE_PLUGINS" in found["template"]["error"]
    assert found["toy"]["status"] == "ok"
    assert "template" not in registry().backbones
    code, _, err = diffinv("plugins", "check", "template")
    assert code == 2
    _, _, err = diffinv("invert", "a", "b", "--backbone", "template")
    assert "switched off, see 'diffinv plugins list'" in err


def test_a_plugin_is_switched_off_and_on(diffinv):
    code, out, _ = diffinv("plugins", "disable", "diffinv-template")
    assert (code, out) == (0, "diffinv-template is switched off from now on.\n")
    registry.cache_clear()
    found = rows(diffinv)
    assert (found["template"]["status"], found["toy"]["status"]) == ("disabled", "ok")
    assert "diffinv plugins enable" in found["template"]["error"]
    assert "switched off" in diffinv("plugins", "show", "template")[1].splitlines()[3]
    for listing in (diffinv("plugins", "list")[1], diffinv("doctor")[1]):
        assert " switched off " in listing
        assert "disabled" not in listing
    assert diffinv("plugins", "enable", "diffinv-template")[0] == 0
    registry.cache_clear()
    assert rows(diffinv)["template"]["status"] == "ok"
    for name in ("nothing", "editors"):
        code, _, err = diffinv("plugins", "disable", name)
        assert code == 2
        assert one_sentence(err)


def test_a_process_that_lives_long_sees_what_has_changed(diffinv, tmp_path):
    before = registry()
    reload_if_changed()
    assert registry() is before
    switch("template", on=False)
    reload_if_changed()
    assert "template" not in registry().backbones
    switch("template", on=True)
    install(tmp_path / "site", "rival")
    reload_if_changed()
    assert "template" in registry().backbones
    assert "rival" in {row.name for row in registry().rows}
    assert "rival-dist:rival=rival@1.2" in installed_plugins()
    (entries,) = (tmp_path / "site").glob("rival_*/entry_points.txt")
    entries.write_text(entries.read_text().replace("= rival", "= closes"))
    reload_if_changed()
    assert "closing" in registry().editors


def test_diffinvs_own_parts_cannot_be_disabled(diffinv, monkeypatch):
    monkeypatch.setenv("DIFFINV_DISABLE_PLUGINS", "diffinv,editors")
    assert rows(diffinv)["editors"]["status"] == "ok"
    assert "ddim" in registry().editors


def test_without_plugins_only_the_projects_own_are_loaded(diffinv, monkeypatch):
    monkeypatch.setenv("DIFFINV_NO_PLUGINS", "")  # what the option sets goes with this test
    monkeypatch.delitem(sys.modules, "prints", raising=False)
    found = rows(diffinv, "--no-plugins")
    status = {name: row["status"] for name, row in found.items()}
    assert {status[name] for name in ("toy", "good", "prints", "bad_import")} == {"disabled"}
    assert status["editors"] == "ok"
    assert "prints" not in sys.modules
    assert os.environ["DIFFINV_NO_PLUGINS"] == "1"


# install


@pytest.mark.parametrize(
    "what",
    ["", "--upgrade", "-r file", "a b", "git+https://host/x", "http://host/x.tgz", "a;b", "ä"],
)
def test_what_is_no_plugin_is_refused(diffinv, what):
    code, out, err = diffinv("plugins", "install", "--yes", "--", what)
    assert (code, out) == (2, "")
    assert one_sentence(err)


@pytest.mark.parametrize(
    "name", ["a", "diffinv-x", "diffinv_x[gpu]", "x==1.0", "x>=1,<2", "x~=1.4"]
)
def test_names_are_taken_as_pip_takes_them(name):
    assert pip.parse_target(name) == name


def test_paths_have_to_be_there(tmp_path):
    with pytest.raises(UsageError, match="no folder or wheel"):
        pip.parse_target("./nowhere")
    with pytest.raises(UsageError, match=r"no pyproject\.toml"):
        pip.parse_target(str(tmp_path))
    assert pip.parse_target(str(TEMPLATE)) == str(TEMPLATE)
    with pytest.raises(UsageError, match=r"no folder or wheel '\./nowhere' to install"):
        pip.parse_target("./nowhere[gpu]")


def test_a_path_may_have_extras(tmp_path, offline, monkeypatch):
    assert pip.parse_target(f"{TEMPLATE}[gpu]") == f"{TEMPLATE}[gpu]"
    wheel = build_wheel(tmp_path, "some_plugin", "3.1")
    monkeypatch.chdir(tmp_path)
    target = pip.parse_target(f"{wheel.name}[gpu]")
    assert target == f"{wheel}[gpu]"
    assert [(change.name, change.after) for change in pip.plan(target)] == [("some-plugin", "3.1")]


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def test_what_would_change_is_shown_and_nobody_is_asked_unseen(diffinv, tmp_path, offline):
    path = build_wheel(tmp_path, "some_plugin", "3.1")
    code, out, err = diffinv("plugins", "install", path)
    assert code == 2
    assert "some-plugin" in out
    assert "3.1" in out
    assert "--yes" in err


@pytest.mark.parametrize(("said", "code", "installed"), [("y", 0, 1), ("n", 130, 0), ("", 130, 0)])
def test_it_is_installed_where_somebody_agrees(
    diffinv, tmp_path, offline, monkeypatch, said, code, installed
):
    done = []
    monkeypatch.setattr(pip, "install", done.append)
    path = build_wheel(tmp_path, "some_plugin", "3.1")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"{said}\n"))
    found, out, err = diffinv("plugins", "install", path)
    assert (found, len(done)) == (code, installed)
    assert "Install this?" in err
    assert "Install this?" not in out


def test_of_an_index_no_source_is_taken(monkeypatch):
    seen = []
    monkeypatch.setattr(pip, "_pip", lambda *arguments, **_: seen.append(arguments))
    pip.install("some-plugin")
    pip.install(str(TEMPLATE))
    assert all("--only-binary" in arguments for arguments in seen)


def test_a_folder_s_build_code_runs_only_when_asked(diffinv, tmp_path, offline, monkeypatch):
    folder, marker = tmp_path / "mine", tmp_path / "it-ran"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'build'\nbackend-path = ['.']\n"
    )
    (folder / "build.py").write_text(f"open({str(marker)!r}, 'w')\n")
    code, out, err = diffinv("plugins", "install", folder)
    assert (code, out) == (2, "")
    assert "runs the build code" in err
    assert "--yes" in err
    assert one_sentence(err)
    assert not marker.exists()
    diffinv("plugins", "install", "--yes", folder)
    assert marker.exists()
    assert pip.runs_code(f"{folder}[gpu]")
    assert not pip.runs_code(f"{folder}/x-1-py3-none-any.whl[gpu]")
    assert not pip.runs_code("some-plugin")


@pytest.mark.parametrize("name", ["torch", "textual"])
def test_torch_and_textual_are_guarded(diffinv, tmp_path, offline, name):
    path = build_wheel(tmp_path, name, "0.0.1")
    code, _, err = diffinv("plugins", "install", "--yes", path)
    assert code == 1
    assert one_sentence(err)
    assert f"would change {name} from" in err
    assert "to 0.0.1" in err


def test_a_name_that_no_index_has_is_one_sentence(diffinv, offline):
    code, out, err = diffinv("plugins", "install", "--yes", "diffinv-no-such-plugin")
    assert (code, out) == (1, "")
    assert one_sentence(err)
    assert "diffinv-no-such-plugin" in err


def test_a_folder_whose_toml_is_wrong_is_told_what_is_wrong(diffinv, tmp_path, offline):
    (tmp_path / "pyproject.toml").write_text("[project\n")
    code, out, err = diffinv("plugins", "install", "--yes", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("Error: pip cannot install it: TOMLDecodeError: Expected ']' at the end")
    assert one_sentence(err)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("WARNING: x\nERROR: No matching distribution.\nERROR: more\n", "No matching distribution"),
        (
            "ERROR: Exception:\nTraceback:\n  a.py\nfoo.bar.BadError: it: broke.\n",
            "BadError: it: broke",
        ),
        ("error: failed\n  | [9 lines]\n  no version\n  [end of output]\nnote: x\n", "no version"),
        ("No module named pip\n", "No module named pip"),
        ("", "no reason given"),
    ],
)
def test_the_line_of_pip_that_says_most(said, reason):
    assert pip._reason(said) == f"pip cannot install it: {reason}."


def test_pip_that_says_nothing_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(DiffinvError, match="no report"):
        pip.plan("x")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DiffinvError, match="no reason given"):
        pip.plan("x")


# A stranger's plugin, from wheel to uninstall


@pytest.fixture
def environment(tmp_path):
    """A fresh environment that borrows what is installed here, torch and pip among it."""
    home = tmp_path / "fresh"
    borrowing_environment(home, tmp_path)
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PIP_FIND_LINKS")}
    variables |= {
        "PIP_NO_INDEX": "1",
        "DIFFINV_HOME": str(tmp_path / "home"),
    }
    code = "from diffinv.cli import main; main()"

    def run(*args: object, module: str = "") -> subprocess.CompletedProcess[str]:
        start = ["-m", module] if module else ["-c", code]
        done = subprocess.run(
            [home / "bin" / "python", *start, *map(str, args)],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_the_template_from_wheel_to_uninstall(environment, tmp_path):
    from PIL import Image

    source = tmp_path / "template"
    for file in TEMPLATE.rglob("*"):
        if file.is_file() and not {"__pycache__", "build"} & set(file.parts):
            target = source / file.relative_to(TEMPLATE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation",
         "--quiet", "-w", tmp_path, source],
        check=True,
        timeout=120,
    )  # fmt: skip
    (built,) = tmp_path.glob("diffinv_template-*.whl")

    done = environment("plugins", "install", "--yes", "--json", built)
    assert json.loads(done.stdout) == {
        "changes": [{"name": "diffinv-template", "before": None, "after": "0.1.0"}],
        "plugins": ["template"],
    }
    listed = json.loads(environment("plugins", "list", "--json").stdout)
    (row,) = [row for row in listed if row["name"] == "template"]
    assert (row["status"], row["distribution"]) == ("ok", "diffinv-template")

    environment("-q", source / "tests", module="pytest")
    for name, colour in {"a": "red", "a2": "blue", "b": "green"}.items():
        Image.new("RGB", (40, 40), colour).save(tmp_path / f"{name}.png")
    environment(
        "invert", "a.png", "a2.png", "--backbone", "template", "--name", "mine", "--steps", "4",
        "--device", "cpu",
    )  # fmt: skip
    environment(
        "apply", "mine", "b.png", "--backbone", "template", "--out", "results", "--steps", "3",
        "--device", "cpu",
    )  # fmt: skip
    assert Image.open(tmp_path / "results" / "b.png").size == (40, 40)

    environment("uninstall", "--yes", "diffinv-template", module="pip")
    assert "diffinv-template" not in environment("plugins", "list", "--json").stdout


def test_the_template_is_short():
    files = (TEMPLATE / "diffinv_template").glob("*.py")
    lines = [line for file in files for line in file.read_text().splitlines() if line.strip()]
    assert 60 < len(lines) < 105
    backbone = ("__init__.py", "plugin.py", "model.py")
    texts = [(TEMPLATE / "diffinv_template" / name).read_text() for name in backbone]
    assert sum(len(text.splitlines()) for text in texts) < 100


def test_a_bare_name_that_lies_here_is_not_taken_from_the_index(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-plugin").mkdir()
    with pytest.raises(UsageError, match=r"write '\./my-plugin' to install it"):
        pip.parse_target("my-plugin")
    with pytest.raises(UsageError, match=r"'my-plugin' here: write '\./my-plugin\[gpu,x\]' to"):
        pip.parse_target("my-plugin[gpu,x]")
    assert pip.parse_target("my-plugin[gpu]==1.0") == "my-plugin[gpu]==1.0"
    assert pip.parse_target("other-plugin") == "other-plugin"
