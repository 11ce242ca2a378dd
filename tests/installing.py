"""Puts the plugins of tests/plugins where the standard library finds installed distributions."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
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


def build_wheel(folder: Path, name: str, version: str = "1.0", code: str = "") -> Path:
    """A wheel with one module; where that has code, it is a plugin."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{GROUP}]\n{name} = {name}\n" if code else "",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as file:
        for place, text in files.items():
            file.writestr(place, text)
    return path


def borrowing_environment(home: Path, without: Path) -> Path:
    """A fresh environment that borrows what is installed here, torch and pip among it, but for
    what is in one folder. Returns its folder of packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=60)
    (site,) = home.glob("lib/python*/site-packages")
    borrowed = [p for p in sys.path if p and Path(p).is_dir() and not p.startswith(str(without))]
    borrowed = [p for p in borrowed if "site-packages" in p or (Path(p) / "diffinv").is_dir()]
    finders = [f"import site; site.addsitedir({str(p)!r})" for p in borrowed]
    (site / "borrowed.pth").write_text("\n".join(finders) + "\n")
    return site
