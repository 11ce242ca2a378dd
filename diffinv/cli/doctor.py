"""``diffinv doctor``: what this machine offers, and what is missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

import click

from ..errors import DiffinvError
from ..system.text import plural
from .options import json_option
from .output import print_fields, print_json, say, stdout_for_data

if TYPE_CHECKING:
    from ..plugins.model_states import ModelState

_LIBRARIES = (
    "diffinv",
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "safetensors",
    "numpy",
    "pillow",
    "textual",
    "pluggy",
)


@click.command(short_help="Devices, versions, models, paths, plugins, terminal.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Devices, versions, models, paths, plugins and the terminal's pictures.

    The exit code is 1 if something diffinv cannot do without is missing.
    """
    with stdout_for_data():
        report = _report(ctx)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report["problems"]:
        ctx.exit(1)


def _report(ctx: click.Context) -> dict[str, Any]:
    from ..plugins.loading import registry
    from ..plugins.model_states import model_states

    root = ctx.find_root().command
    if isinstance(root, click.Group):
        registry().register_commands(root)
    devices, device_problem = _devices()
    path, path_problem = _library()
    states = [s for s in model_states() if s.kind == "backbone" or s.model]
    problems = [p for p in (device_problem, path_problem) if p]
    notes = [
        f"The plugin {row.name!r} is broken; 'diffinv plugins show {row.name}' says why."
        for row in registry().rows
        if row.status == "broken"
    ]
    if works := _what_works(states):
        notes.append(works)
    if not registry().backbones:
        problems.append("No backbone is installed.")
    return {
        "devices": devices,
        "versions": {"python": platform.python_version()} | {n: _version(n) for n in _LIBRARIES},
        "models": [_model(state) for state in states],
        "paths": {"library": path},
        "plugins": [
            {"name": row.name, "version": row.version, "status": row.status, "error": row.error}
            for row in registry().rows
        ],
        "terminal": _terminal(),
        "problems": problems,
        "notes": notes,
    }


def _model(state: ModelState) -> dict[str, Any]:
    spec = state.spec
    return {
        "id": spec.id,
        "kind": state.kind,
        "title": spec.title,
        "size_mb": spec.size_mb,
        "model": state.model,
        "status": state.status,
        "error": state.error,
    }


def _what_works(states: Sequence[ModelState]) -> str | None:
    """One sentence about the models that are not here, if there are any."""
    missing = {s.model for s in states if s.status in ("not here", "partly here")}
    if not missing:
        return None
    ready = [s.spec.id for s in states if s.kind == "backbone" and s.status == "here"]
    works = f"{', '.join(ready)} work{'s' * (len(ready) == 1)} now; " if ready else ""
    return (
        f"{works}{plural(len(missing), 'model')} can be fetched with 'diffinv models pull ID' "
        "('diffinv models list' shows them)."
    )


def _devices() -> tuple[list[dict[str, Any]], str | None]:
    """The devices torch sees. The only place in the command line that imports torch."""
    try:
        import torch

        found = [{"id": "cpu", "name": platform.processor() or platform.machine()}]
        found[0]["threads"] = torch.get_num_threads()  # type: ignore[assignment]
        for i in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(i).total_memory
            name = torch.cuda.get_device_name(i)
            found.append({"id": f"cuda:{i}", "name": name, "memory_gb": f"{memory / 2**30:.1f}"})
        if torch.backends.mps.is_available():
            found.append({"id": "mps", "name": "Apple GPU"})
    except Exception as error:
        return [], f"torch does not work: {type(error).__name__}: {error}"
    return list(found), None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _library() -> tuple[dict[str, Any], str | None]:
    from ..jobs.planning import check_writable
    from ..system.paths import library_folder

    folder = library_folder()
    try:
        check_writable(folder)
    except DiffinvError as error:
        return {"path": str(folder), "writable": False}, str(error)
    return {"path": str(folder), "writable": True}, None


def _terminal() -> dict[str, Any]:
    """A guess from the environment; only asking the terminal itself could tell."""
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    pictures = "half blocks"
    if os.environ.get("TMUX"):
        pictures = "half blocks (inside tmux)"
    elif os.environ.get("KITTY_WINDOW_ID") or "kitty" in term or "ghostty" in (term + program):
        pictures = "kitty protocol"
    elif program in {"WezTerm", "iTerm.app"} or term.startswith(("foot", "mlterm")):
        pictures = "sixel"
    return {
        "term": term,
        "program": program,
        "true_colour": os.environ.get("COLORTERM") in {"truecolor", "24bit"},
        "pictures": pictures,
    }


def _print(report: dict[str, Any]) -> None:
    for title, fields in _sections(report).items():
        say(title)
        print_fields([("  " + name, value) for name, value in fields] or [("  none", "")])
        say()
    for problem in report["problems"]:
        say(f"Problem: {problem}")
    for note in report["notes"]:
        say(note)
    if not report["problems"] and not report["notes"]:
        say("Everything is here.")


def _sections(report: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    from ..plugins.rows import in_words

    library, terminal = report["paths"]["library"], report["terminal"]
    writable = "writable" if library["writable"] else "not writable"
    return {
        "Devices": [(d["id"], _device_line(d)) for d in report["devices"]],
        "Versions": [(n, v or "not installed") for n, v in report["versions"].items()],
        "Models": [(m["id"], _model_line(m)) for m in report["models"]],
        "Paths": [("library", f"{library['path']} ({writable})")],
        "Plugins": [
            (p["name"], f"{p['version']} {in_words(p['status'])} {p['error'] or ''}".rstrip())
            for p in report["plugins"]
        ],
        "Terminal": [("pictures", terminal["pictures"]), ("term", terminal["term"])],
    }


def _model_line(model: dict[str, Any]) -> str:
    more = f" ({model['model']})" if model["status"] == "not here" else ""
    error = f": {model['error']}" if model["error"] else ""
    return f"{model['title']}, {model['status']}{more}{error}"


def _device_line(device: dict[str, Any]) -> str:
    more = f", {device['memory_gb']} GB" if "memory_gb" in device else ""
    threads = f", {device['threads']} threads" if "threads" in device else ""
    return f"{device['name']}{more}{threads}"
