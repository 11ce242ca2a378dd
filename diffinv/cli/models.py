"""``diffinv models``: what the installed parts need, what is here, and what can be fetched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import DiffinvError, UsageError
from ..system.text import readable
from .options import json_option
from .output import complain, print_json, print_table, say

if TYPE_CHECKING:
    from ..plugins.model_states import ModelState

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def models() -> None:
    """List, fetch and remove the models that backbones and other parts use."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """What installed parts use, and all other models in the hub's local cache. Does not use the
    network."""
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    headers = ("MODEL", "USED BY", "FOR", "LICENCE", "TO FETCH", "SIZE HERE", "STATUS")
    print_table(headers, [_cells(row) for row in rows])


@models.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
@click.option("--full-precision", is_flag=True, help="The float32 weights if there are both.")
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only files that match; may be repeated."
)
@_yes
def pull_model(
    names: tuple[str, ...], full_precision: bool, include: tuple[str, ...], yes: bool
) -> None:
    """Fetch each MODEL (a part's id, or OWNER/NAME) into the local cache.

    Size and licence are shown first. After an interruption the same command goes on where it was.
    """
    from ..jobs.fetching import fetch_all, sources
    from ..plugins.model_states import find_models

    wanted = [model for name in names for model, _ in find_models(name)]
    found = sources(wanted, full_precision, include)
    for source in found:
        complain(f"{source.model}: {source.about}")
    _confirm("Fetch it?" if len(found) == 1 else "Fetch them?", yes)
    from .progress import ProgressDisplay

    with ProgressDisplay() as show:
        folders = fetch_all(found, show)
    for folder in folders:
        say(str(folder))


@models.command("path")
@click.argument("model")
def model_path(model: str) -> None:
    """Print the folder of MODEL on this machine."""
    from ..plugins.model_states import find_models
    from ..system.local_models import find_snapshot, own_folder

    for found, _ in find_models(model):
        if ":" not in found:
            say(str(find_snapshot(found)))
        elif (folder := own_folder(*found.split(":", 1))).is_dir():
            say(str(folder))
        else:
            raise DiffinvError(
                f"The model of {model!r} is not on this machine: fetch it with "
                f"'diffinv models pull {model}'."
            )


@models.command("rm")
@click.argument("model")
@_yes
def remove_model(model: str, yes: bool) -> None:
    """Delete MODEL from this machine."""
    from ..plugins.model_states import find_models, remove_model, size_here

    for found, _ in find_models(model):
        if size := size_here(found):
            _confirm(f"Delete {found} ({readable(size)})?", yes)
        complain(f"Deleted {found}: {readable(remove_model(found))} are free again.")


def _rows() -> list[dict[str, Any]]:
    """A row for each model that parts share, and for each other one in the cache."""
    from ..plugins.model_states import model_states
    from ..system import hub

    rows: dict[str, dict[str, Any]] = {}
    for state in model_states():
        if state.model is None:
            continue
        row = rows.setdefault(state.model, _row(state))
        row["used_by"] = ", ".join(filter(None, [row["used_by"], state.spec.id]))
        row["licence"] = row["licence"] or state.spec.licence
    for model in hub.cached_ids():
        if model not in rows:
            size = hub.size_here(model)
            rows[model] = {
                **{"model": model, "used_by": "", "kind": "", "purpose": "", "licence": ""},
                **{"to_fetch": 0, "size": size},
                "status": "here" if hub.is_whole(model) else "partly here",
            }
    return list(rows.values())


def _row(state: ModelState) -> dict[str, Any]:
    return {
        "model": state.model,
        "used_by": "",
        "kind": state.kind,
        "purpose": state.spec.purpose,
        "licence": state.spec.licence,
        "to_fetch": state.to_fetch,
        "size": state.size,
        "status": state.status,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    to_fetch, here = (readable(row[key]) if row[key] else "" for key in ("to_fetch", "size"))
    return (
        *(row[key] for key in ("model", "used_by", "purpose", "licence")),
        *(to_fetch, here, row["status"]),
    )


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question.rstrip('?')}: there is nobody to ask here; add --yes.")
    click.confirm(question, abort=True, err=True)
