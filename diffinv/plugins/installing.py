"""Installs plugins with pip, showing what would change before anything does."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..errors import DiffinvError, UsageError
from ..hookspecs import GROUP
from ..system.paths import given_path
from ..system.text import text_safe

GUARDED = ("torch", "torchvision", "textual", "diffinv")
"""What no plugin may replace: changing these breaks more than it brings."""

_EXTRAS = re.compile(r"\[[A-Za-z0-9._,-]+\]\Z")

_NAME = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\[[A-Za-z0-9._,-]+\])?"
    r"(?:(?:[<>]=?|[=!~]=)[A-Za-z0-9.*+!-]+(?:,(?:[<>]=?|[=!~]=)[A-Za-z0-9.*+!-]+)*)?"
)

_TRACEBACK, _END_OF_OUTPUT = "ERROR: Exception:", "[end of output]"
"""What pip writes before its own tracebacks, and after the output of a failed build."""
_EXCEPTION = re.compile(r"\A(?:\w+\.)+(?=\w+: )")
"""The exception's module at the start of a traceback's last line."""


@dataclass(frozen=True)
class Change:
    """A distribution that would be added, or replaced (``before`` is its present version)."""

    name: str
    before: str | None
    after: str


def parse_target(text: str) -> str:
    """What pip is to install: a name on the package index, or a path made absolute; either may have
    extras (``NAME[EXTRA]``)."""
    extras = found[0] if (found := _EXTRAS.search(text)) else ""
    bare = text.removesuffix(extras)
    looks_like_path = bare.startswith(("~", ".")) or bare.endswith((".whl", ".tar.gz"))
    if looks_like_path or os.sep in text:
        return _path(bare) + extras
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r} is neither a distribution's name nor a path.")
    if os.path.lexists(bare):
        what = "folder" if os.path.isdir(bare) else "file"
        raise UsageError(f"There is a {what} {bare!r} here: write './{text}' to install it.")
    return text


def _path(text: str) -> str:
    path = given_path(text).absolute()
    if not path.exists():
        raise UsageError(f"There is no folder or wheel {text!r} to install.")
    if path.is_dir() and not (path / "pyproject.toml").is_file():
        raise UsageError(f"The folder {text!r} is not a plugin: it has no pyproject.toml.")
    return str(path)


def runs_code(target: str) -> bool:
    """Whether pip runs code from there to find out what would change: it does for a folder or a
    source archive, which it has to build, and not for a wheel or a name."""
    return os.sep in target and not _EXTRAS.sub("", target).endswith(".whl")


def plan(target: str) -> list[Change]:
    """What installing would change, according to pip's dry run; see :func:`runs_code`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _pip("install", "--dry-run", "--quiet", "--report", str(report), *_arguments(target))
        try:
            found = json.loads(report.read_text(encoding="utf-8"))["install"]
            return [_change(item["metadata"]) for item in found]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DiffinvError("pip gave no report of what it would change.") from error


def refuse_guarded(what: str, changes: Sequence[Change]) -> None:
    """Raise DiffinvError if torch, textual or diffinv itself would be replaced."""
    for change in changes:
        if change.name in GUARDED and change.before not in (None, change.after):
            raise DiffinvError(
                f"{text_safe(what)!r} would change {change.name} from {change.before} to "
                f"{change.after}, which may break this installation: install it with pip "
                "yourself, best in an environment of its own."
            )


def install(target: str, hear: Callable[[str], object] = lambda _line: None) -> None:
    """Install into diffinv's own environment; ``hear`` gets pip's lines as they come."""
    _pip("install", "--progress-bar", "off", *_arguments(target), hear=hear)
    importlib.invalidate_caches()


def plugins_of(distribution: str) -> list[str]:
    """The names of an installed distribution's plugins."""
    try:
        entries = metadata.distribution(distribution).entry_points
    except metadata.PackageNotFoundError:
        return []
    return [entry.name for entry in entries.select(group=GROUP)]


def _arguments(target: str) -> list[str]:
    """From an index take only wheels, for what a folder needs too: a source distribution would run
    code even in a dry run."""
    return ["--only-binary", ":all:", target]


def _change(about: dict[str, str]) -> Change:
    name = re.sub(r"[-_.]+", "-", about["name"]).lower()
    try:
        before = metadata.version(name)
    except metadata.PackageNotFoundError:
        before = None
    return Change(name, before, about["version"])


def _pip(*arguments: str, hear: Callable[[str], object] = lambda _line: None) -> None:
    """Run pip; the most telling line it prints becomes the error."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                hear(text_safe(line.rstrip()))
        if process.wait() == 0:
            return
        complaints.seek(0)
        raise DiffinvError(_reason(complaints.read()))


def _reason(complaints: str) -> str:
    """The most telling line: the last of a build's output or of a traceback, else pip's own."""
    lines = [line for line in map(text_safe, complaints.splitlines()) if line]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    if _END_OF_OUTPUT in lines[1:]:
        reason = lines[lines.index(_END_OF_OUTPUT) - 1]
    elif errors and errors[0] != _TRACEBACK:
        reason = errors[0].removeprefix("ERROR: ")
    else:
        reason = _EXCEPTION.sub("", lines[-1]) if lines else "no reason given"
    return f"pip cannot install it: {reason[:300].rstrip('.')}."
