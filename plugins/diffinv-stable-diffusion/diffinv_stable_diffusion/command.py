"""``diffinv models``: the checkpoints in the hub's local cache. Imports nothing heavy."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from diffinv.cli.options import json_option
from diffinv.cli.output import complain, print_json, print_table, say
from diffinv.errors import UsageError

_yes = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def models() -> None:
    """List, fetch and remove the models that backbones use."""


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """The backbones' models and all others in the local cache. Does not use the network."""
    from .hub import cached_models, readable

    rows = cached_models()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    print_table(
        ("MODEL", "USED BY", "LICENCE", "SIZE HERE", "STATUS"),
        [
            (
                row.model,
                row.used_by,
                row.licence,
                readable(row.size) if row.size else "",
                row.status,
            )
            for row in rows
        ],
    )


@models.command("pull")
@click.argument("model")
@click.option("--full-precision", is_flag=True, help="The float32 weights if there are both.")
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only files that match; may be repeated."
)
@_yes
def pull_model(model: str, full_precision: bool, include: tuple[str, ...], yes: bool) -> None:
    """Fetch MODEL (a backbone's id, or OWNER/NAME) into the local cache.

    Its size and licence are shown first. After an interruption, complete files are kept.
    """
    from .hub import describe, fetch, readable, resolve_id

    wanted = describe(resolve_id(model), full_precision, include)
    complain(
        f"{wanted.model}: {len(wanted.files)} files, {readable(wanted.size)}, "
        f"licence {wanted.licence}"
    )
    _confirm("Fetch it?", yes)
    say(str(fetch(wanted)))


@models.command("path")
@click.argument("model")
def model_path(model: str) -> None:
    """Print the folder of MODEL on this machine."""
    from diffinv.system.local_models import find_snapshot

    from .hub import resolve_id

    say(str(find_snapshot(resolve_id(model))))


@models.command("rm")
@click.argument("model")
@_yes
def remove_model(model: str, yes: bool) -> None:
    """Delete MODEL from the local cache."""
    from .hub import readable, remove, resolve_id, size_here

    id = resolve_id(model)
    if size := size_here(id):
        _confirm(f"Delete {id} ({readable(size)})?", yes)
    complain(f"Deleted {id}: {readable(remove(id))} are free again.")


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question.rstrip('?')}: there is nobody to ask here; add --yes.")
    click.confirm(question, abort=True, err=True)
