"""The built wheels, in an environment of their own that borrows only other people's libraries."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from diffinv import __version__

ROOT = Path(__file__).parent.parent
OURS = ("diffinv", "__editable__")
EXAMPLE = ROOT / "plugins" / "diffinv-diorama" / "diffinv_diorama" / "example"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Every wheel, by its distribution's name, built from a copy of what git has."""
    source = tmp_path_factory.mktemp("source") / "diffinv"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if not name.startswith(("tests/", "docs/")) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheels")
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run([source / ".ci" / "build", out], env=environment, check=True, timeout=300)
    return {path.name.split("-")[0].replace("_", "-"): path for path in out.glob("*.whl")}


@pytest.fixture(scope="module")
def environment(wheels, tmp_path_factory):
    """A fresh environment with ``diffinv[all]`` and the template out of a folder of wheels."""
    home = tmp_path_factory.mktemp("fresh")
    borrowed = home / "borrowed"
    borrowed.mkdir()
    for folder in (Path(p) for p in sys.path if p.endswith("site-packages")):
        for entry in folder.iterdir():
            if not entry.name.startswith(OURS) and entry.suffix != ".pth":
                (borrowed / entry.name).symlink_to(entry)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "env"], check=True)
    (site,) = (home / "env").glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    python = home / "env" / "bin" / "python"
    folder = next(iter(wheels.values())).parent
    command = [python, "-m", "pip", "install", "--no-index", "--find-links", folder]
    done = subprocess.run(
        [*command, "diffinv[all]", "diffinv-template"],
        env=clean(home),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return home


def clean(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DIFFINV", "PIP"))}
    return {**kept, "HOME": str(home), "DIFFINV_HOME": str(home / "data"), "HF_HUB_OFFLINE": "1"}


def run(home: Path, *command: object) -> str:
    """A command of the fresh environment, in its own folder."""
    done = subprocess.run(
        [str(home / "env" / "bin" / str(command[0])), *map(str, command[1:])],
        cwd=home,
        env=clean(home),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_one_version():
    projects = [ROOT / "pyproject.toml", *ROOT.glob("plugins/diffinv-*/pyproject.toml")]
    assert len(projects) == 7
    for path in projects:
        text = path.read_text(encoding="utf-8")
        about = tomllib.loads(text)["project"]
        assert about.get("version", __version__) == __version__, path
        assert set(re.findall(r'"diffinv[\w-]*==([^"]+)"', text)) == {__version__}, path
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_version_is_set_everywhere_by_one_command(tmp_path):
    for path in [*ROOT.glob("plugins/*/pyproject.toml"), ROOT / "pyproject.toml"]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    for name in ("diffinv/__init__.py", ".ci/version"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run([sys.executable, tmp_path / ".ci" / "version", "9.8.7"], check=True)
    changed = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "version"]
    assert sum("9.8.7" in path.read_text(encoding="utf-8") for path in changed) == 8
    assert not any(f'=={__version__}"' in path.read_text(encoding="utf-8") for path in changed)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        (
            "diffinv",
            [
                "diffinv/py.typed",
                "diffinv/evaluation/study_page.html",
                "diffinv_tui/app.tcss",
                "diffinv_tui/py.typed",
            ],
        ),
        ("diffinv-diorama", ["diffinv_diorama/py.typed", "diffinv_diorama/example/a.png"]),
        ("diffinv-stable-diffusion", ["diffinv_stable_diffusion/configs/", "py.typed"]),
        ("diffinv-clip", ["diffinv_clip/py.typed"]),
        ("diffinv-captioners", ["diffinv_captioners/py.typed"]),
        ("diffinv-rivals", ["diffinv_rivals/py.typed"]),
        ("diffinv-flow", ["diffinv_flow/py.typed"]),
        ("diffinv-template", ["diffinv_template/py.typed"]),
    ],
)
def test_a_wheel_has_everything_in_it(wheels, name, inside):
    with zipfile.ZipFile(wheels[name]) as file:
        names = file.namelist()
        about = HeaderParser().parsestr(
            file.read(next(n for n in names if n.endswith("/METADATA"))).decode()
        )
    for part in [*inside, "licenses/LICENSE"]:
        assert any(part in found for found in names), f"{name} lacks {part}"
    assert not any(n.startswith(("tests/", "benchmarks/", "plugins/")) for n in names)
    package = (
        ROOT if name == "diffinv" else ROOT / "plugins" / name.removeprefix("diffinv-template")
    )
    if name == "diffinv-diorama":
        weights = [n for n in names if n.endswith(".safetensors")]
        here = list((package / "diffinv_diorama").rglob("*.safetensors"))
        assert len(weights) == len(here) > 0
    assert about["License-Expression"] == "Apache-2.0"


def test_the_extras_name_our_distributions(wheels):
    with zipfile.ZipFile(wheels["diffinv"]) as file:
        metadata = next(n for n in file.namelist() if n.endswith("/METADATA"))
        about = HeaderParser().parsestr(file.read(metadata).decode())
    wanted = about.get_all("Requires-Dist")
    assert f"diffinv-diorama=={__version__}" in wanted
    for extra, name in (
        ("sd", "stable-diffusion"),
        ("clip", "clip"),
        ("captioners", "captioners"),
        ("rivals", "rivals"),
        ("flow", "flow"),
    ):
        assert f'diffinv-{name}=={__version__}; extra == "{extra}"' in wanted
    extras = {"sd", "flow", "clip", "captioners", "rivals", "evaluate", "logging", "ray", "photo"}
    extras |= {"pictures", "serve", "all"}
    assert set(about.get_all("Provides-Extra")) == extras


def test_the_fresh_environment_has_the_wheels_and_nothing_of_this_tree(environment):
    code = "import diffinv, diffinv_tui, diffinv_diorama as d; print(diffinv.__file__, d.__file__)"
    for path in run(environment, "python", "-c", code).split():
        assert path.startswith(str(environment))
    plugins = run(environment, "diffinv", "plugins", "list")
    for name in ("diorama", "stable-diffusion", "clip", "captioners", "template"):
        assert name in plugins
    assert "broken" not in plugins
    assert "diffinv-tui" in run(environment, "diffinv-tui", "--help")


def test_the_demo_and_a_third_partys_plugin(environment):
    run(environment, "diffinv", "demo", "--out", "demo")
    assert (environment / "demo" / "contact-sheet.png").exists()
    pair = (EXAMPLE / "a.png", EXAMPLE / "a_prime.png")
    options = ("--backbone", "template", "--steps", "3", "--name", "mine")
    assert "Learned 'mine'" in run(environment, "diffinv", "invert", *pair, *options)


def test_the_five_lines(environment):
    for name, source in (("a", "a"), ("a2", "a_prime"), ("b", "b/01")):
        shutil.copy(EXAMPLE / f"{source}.png", environment / f"{name}.png")
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    block = re.search(r"^```python\n(import diffinv.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block
    run(environment, "python", "-c", block[1])
    assert (environment / "winter.safetensors").exists()
    assert "a-to-a2" in run(environment, "diffinv", "library", "list")
