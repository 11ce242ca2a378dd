"""Asks a process of its own what a third-party plugin registers, the first time and after each
change; the answer is kept in the cache.

A plugin that hangs, crashes or prints from a thread does so there, and not in a front end.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ..contracts import API_VERSION, Glimpse, Spec, Use
from ..errors import DiffinvError, UsageError
from ..system.files import atomic_write
from ..system.paths import cache_folder
from .checking import HOOKS, check_spec
from .rows import PluginRow, key_of

PATIENCE = 1.5
"""Seconds that a front end waits for plugins it does not know yet."""

LIMIT = 30.0
"""Seconds a plugin has, in all, for its answer."""

_PREFLIGHT_LIMIT = 15.0
_LOOK_EVERY = 0.01
_MOST_FILES = 2000
_PROBE = "diffinv.plugins.probe"
_METADATA = (".dist-info", ".egg-info", ".pth")

WAITING = "it has not answered yet; it has 30 seconds, so look again in a moment"
_SILENT = (
    "it gave no answer within 30 seconds and is left out until it changes; "
    "'diffinv plugins enable' tries it again"
)

Answer = dict[str, Any]


class Probe:
    """What is known about one plugin; a process is asked if nothing is."""

    def __init__(self, row: PluginRow, entry: metadata.EntryPoint) -> None:
        self.row, self.entry = row, entry
        self._stamp = _stamp(entry)
        name = hashlib.sha256(f"{sys.prefix}\0{key_of(row)}\0{entry.value}".encode()).hexdigest()
        self._answer = _folder() / f"{name[:24]}.json"
        self._question = self._answer.with_suffix(".question")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Ask, unless the answer is known or another process is asking."""
        if self._known() is not None or self._asked() is not None:
            return
        question = {
            "name": self.entry.name,
            "value": self.entry.value,
            "version": self.row.version,
            "distribution": self.row.distribution,
            "stamp": self._stamp,
            "answer": str(self._answer),
        }
        self._process = _ask(self._question, question)

    def verdict(self) -> PluginRow | None:
        """The plugin's row, once it is known."""
        asked, answer = self._asked(), self._known()
        if answer is None and self._process and self._process.poll() is not None:
            answer = self._known() or self._fault(f"it ended its process ({_end(self._process)})")
        elif answer is None and asked is None and not self._process:
            self.start()  # whoever asked has gone without an answer
        elif answer is None and asked and asked > LIMIT + 1:
            answer = self._fault(_SILENT)
        return None if answer is None else self._row(answer)

    def forget(self) -> None:
        """Ask anew next time."""
        for path in (self._answer, self._question):
            path.unlink(missing_ok=True)

    def _row(self, answer: Answer) -> PluginRow:
        row = replace(
            self.row,
            hooks=tuple(answer["hooks"]),
            status=answer["status"],
            error=answer["error"],
            printed=answer["printed"],
            commands=tuple((path, help) for path, help in answer["commands"]),
        )
        try:
            specs = tuple(_spec(kind, values) for kind, values in answer["specs"])
            return replace(row, specs=specs)
        except Exception:  # written by another version, or by somebody else
            self.forget()
            return row.broken("what it registers cannot be read; look again")

    def _known(self) -> Answer | None:
        answer = _read(self._answer)
        return answer if answer and answer.get("stamp") == self._stamp else None

    def _asked(self) -> float | None:
        """How many seconds ago a process was asked that has not answered."""
        question = _read(self._question)
        if question is None or question.get("stamp") != self._stamp:
            return None
        with contextlib.suppress(OSError):
            return max(0.0, time.time() - self._question.stat().st_mtime)
        return None

    def _fault(self, error: str) -> Answer:
        answer = {"hooks": [], "status": "broken", "error": error, "printed": ""}
        answer |= {"specs": [], "commands": [], "stamp": self._stamp}
        with contextlib.suppress(DiffinvError, OSError):
            atomic_write(self._answer, json.dumps(answer).encode())
            self._question.unlink(missing_ok=True)
        return answer


def probed(probes: list[Probe], patience: float | None = None) -> list[PluginRow | None]:
    """The rows of plugins, None for those that have not answered in time: ``PATIENCE``, unless
    ``patience`` says otherwise."""
    for probe in probes:
        probe.start()
    deadline = time.monotonic() + (PATIENCE if patience is None else patience)
    rows = [probe.verdict() for probe in probes]
    while None in rows and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        rows = [row or probe.verdict() for row, probe in zip(rows, probes, strict=True)]
    return rows


def preflight(id: str, name: str, use: Use) -> tuple[str, ...]:
    """The notes of a foreign backbone's preflight, from a process of its own. Raises DiffinvError
    if it refuses, fails or gives no answer."""
    found = _answer_to({"preflight": name, "use": asdict(use)})
    if "notes" in found:
        return tuple(found["notes"])
    if "refusal" in found:
        kind = UsageError if found["exit_code"] == UsageError.exit_code else DiffinvError
        raise kind(found["refusal"])
    raise DiffinvError(f"The backbone {id!r} fails its own preflight: {found['fault']}.")


def unsuited(name: str, glimpses: Sequence[Glimpse]) -> tuple[str, ...]:
    """What a foreign backbone says of pictures, from a process of its own. Raises DiffinvError if
    it fails or gives no answer."""
    found = _answer_to({"suits": name, "glimpses": [to_plain(one) for one in glimpses]})
    if "notes" in found:
        return tuple(found["notes"])
    raise DiffinvError(found.get("refusal") or found["fault"])


def to_plain(glimpse: Glimpse) -> list[Any]:
    """A glimpse as JSON has it: sizes, and the thumbnail's pixels."""
    small = glimpse.thumbnail
    return [glimpse.width, glimpse.height, *small.size, base64.b64encode(small.tobytes()).decode()]


def from_plain(value: list[Any]) -> Glimpse:
    """A glimpse from what :func:`to_plain` made of it."""
    from PIL import Image

    width, height, columns, rows, pixels = value
    small = Image.frombytes("RGB", (columns, rows), base64.b64decode(pixels))
    return Glimpse(width, height, small)


def _answer_to(asked: Answer) -> Answer:
    """What a process of its own answers, or its ``fault``."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        question = {**asked, "stamp": "", "answer": str(answer)}
        process = _ask(Path(folder) / "question.json", question)
        try:
            process.wait(_PREFLIGHT_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return _read(answer) or {"fault": f"it gave no answer ({_end(process)})"}


def _ask(path: Path, question: dict[str, Any]) -> subprocess.Popen[bytes]:
    atomic_write(path, json.dumps(question).encode())
    modules = os.pathsep.join(os.path.abspath(entry) for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _PROBE, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": modules},
    )


def _end(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"signal {-code}" if code and code < 0 else f"exit code {code}"


def _spec(kind: str, values: dict[str, Any]) -> Spec:
    (cls,) = (cls for known, cls in HOOKS.values() if known == kind)
    spec = cls(**values)
    check_spec(spec, cls)
    return spec


def _read(path: Path) -> Answer | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


@lru_cache(maxsize=1)
def _spare_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def _folder() -> Path:
    """Where answers are kept; for this process alone if the cache cannot be written to."""
    folder = cache_folder() / "plugins"
    try:
        atomic_write(folder / "version", str(API_VERSION).encode()) if not folder.is_dir() else None
    except DiffinvError:
        return Path(_spare_folder().name)
    return folder if os.access(folder, os.W_OK) else Path(_spare_folder().name)


def _stamp(entry: metadata.EntryPoint) -> str:
    """Changes when the plugin's files do, or the distributions installed beside it."""
    parts: list[object] = [sys.version, API_VERSION, entry.value, *_environment()]
    parts += sorted(_files(entry.value.partition(":")[0].partition(".")[0]))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _environment() -> Iterator[str]:
    """What is installed: a plugin that lacked something may have it now."""
    for folder in sys.path:
        with contextlib.suppress(OSError):
            yield from sorted(
                name for name in os.listdir(folder or ".") if name.endswith(_METADATA)
            )


def _files(module: str) -> Iterable[tuple[str, int, int]]:
    """A module's or package's files. Imports nothing."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    folders = list(spec.submodule_search_locations or ())
    paths = [Path(spec.origin)] if spec.origin and not folders else []
    for folder in folders:
        for path in Path(folder).rglob("*.py"):
            paths.append(path)
            if len(paths) > _MOST_FILES:
                break
    return [found for path in paths if (found := _stat(path))]


def _stat(path: Path) -> tuple[str, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size
