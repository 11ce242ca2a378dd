"""Loads one plugin in a process of its own: ``python -m diffinv.plugins.probe QUESTION``.

QUESTION is the path of a JSON file: which entry point, and where the answer goes. Whatever the
plugin does to this process, the one that asks goes on.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import hookspecs
from ..contracts import Addition, Spec, Use
from ..system.files import atomic_write
from .checking import HOOKS, BrokenPluginError, describe, kind_of, notes
from .commands import added_commands
from .loading import load_here
from .probing import LIMIT, from_plain
from .registry import Registry
from .rows import PluginRow

_LONGEST_PRINTED = 10_000
_LONGEST_ANSWER = 1_000_000


def main(path: str) -> None:
    """Answer a question."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(LIMIT, exit=True, file=nowhere)
        question = json.loads(Path(path).read_text(encoding="utf-8"))
        asked = next((answer for key, answer in _ANSWERS.items() if key in question), _verdict)
        answer = asked(question)
        answer["stamp"] = question["stamp"]
        atomic_write(Path(question["answer"]), json.dumps(answer).encode())
        Path(path).unlink(missing_ok=True)
        os._exit(0)  # a plugin's threads must not keep the process


def _verdict(question: dict[str, Any]) -> dict[str, Any]:
    """What a plugin registers, or what is wrong with it."""
    entry = metadata.EntryPoint(question["name"], question["value"], hookspecs.GROUP)
    row = PluginRow(question["name"], question["version"], question["distribution"])
    found = Registry()
    load_here(found, entry, row)
    row = found.rows[0]
    commands: list[tuple[str, str]] = []
    if row.status == "ok":
        row, commands = added_commands(
            found.manager, row, pkgutil.resolve_name("diffinv.cli.app:cli")
        )
    try:
        specs = [[kind_of(spec), _fields(spec)] for spec in row.specs]
        if len(json.dumps(specs)) > _LONGEST_ANSWER:
            raise BrokenPluginError("its specs are longer than a million characters")
    except Exception as error:
        row, specs, commands = row.broken(describe(error)), [], []
    return {
        "hooks": row.hooks,
        "status": row.status,
        "error": row.error,
        "printed": row.printed[:_LONGEST_PRINTED],
        "specs": specs,
        "commands": commands,
    }


def _fields(spec: Spec) -> dict[str, Any]:
    """A spec as JSON. Raises BrokenPluginError if it has defaults that JSON cannot say."""
    (cls,) = (cls for kind, cls in HOOKS.values() if kind == kind_of(spec))
    values = {field.name: getattr(spec, field.name) for field in dataclasses.fields(cls)}
    mappings = {n: dict(v) for n, v in values.items() if isinstance(v, Mapping)}
    try:
        json.dumps(mappings)
    except (TypeError, ValueError) as error:
        raise BrokenPluginError(
            f"the defaults of {spec.id!r} must be plain values: {describe(error)}"
        ) from error
    return values | mappings


def _preflight(question: dict[str, Any]) -> dict[str, Any]:
    """A backbone's notes, or why it cannot be used."""
    added = tuple(Addition(**values) for values in question["use"].pop("additions"))
    return _said(question["preflight"], lambda: Use(**question["use"], additions=added))


def _suits(question: dict[str, Any]) -> dict[str, Any]:
    """What a backbone says of pictures."""
    return _said(question["suits"], lambda: list(map(from_plain, question["glimpses"])))


_ANSWERS = {"preflight": _preflight, "suits": _suits}


def _said(name: str, about: Callable[[], Any]) -> dict[str, Any]:
    """What a function of a plugin answers."""
    try:
        return {"notes": notes(pkgutil.resolve_name(name)(about()))}
    except BaseException as error:
        from ..errors import DiffinvError

        if isinstance(error, DiffinvError):
            return {"refusal": str(error), "exit_code": error.exit_code}
        return {"fault": describe(error)}


if __name__ == "__main__":
    main(sys.argv[1])
