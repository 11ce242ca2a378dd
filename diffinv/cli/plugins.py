"""``diffinv plugins``: what is installed, what each plugin brings, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .options import json_option
from .output import print_fields, print_json, print_table

if TYPE_CHECKING:
    from ..plugins import PluginRow


@click.group()
def plugins() -> None:
    """List and show the installed plugins."""


@plugins.command("list")
@json_option
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool) -> None:
    """Every installed plugin with its version and status; broken ones with the reason."""
    rows = _rows(ctx)
    if as_json:
        print_json([_as_dict(row) for row in rows])
        return
    headers = ("PLUGIN", "VERSION", "DISTRIBUTION", "STATUS", "BRINGS")
    print_table(
        headers,
        [(r.name, r.version, r.distribution, r.status, r.error or _brings(r)) for r in rows],
    )


@plugins.command("show")
@click.argument("name")
@json_option
@click.pass_context
def show_plugin(ctx: click.Context, name: str, as_json: bool) -> None:
    """One plugin, found by its name, its distribution's, or the id of a part it brings."""
    found = [row for row in _rows(ctx) if name in _names(row)]
    if not found:
        raise UsageError(f"There is no plugin {name!r}; 'diffinv plugins list' shows them all.")
    if as_json:
        print_json([_as_dict(row) for row in found])
        return
    for row in found:
        print_fields(_fields(row))


def _rows(ctx: click.Context) -> list[PluginRow]:
    """The rows, after the plugins have been asked for their commands too."""
    from ..plugins import registry

    root = ctx.find_root().command
    if isinstance(root, click.Group):
        registry().register_commands(root)
    return registry().rows


def _names(row: PluginRow) -> set[str]:
    return {row.name, row.distribution, *(spec.id for spec in row.specs)}


def _brings(row: PluginRow) -> str:
    from ..plugins import COMMANDS_HOOK, kind_of

    parts = [f"{kind_of(spec)} {spec.id}" for spec in row.specs]
    return ", ".join(parts + (["commands"] if COMMANDS_HOOK in row.hooks else []))


def _fields(row: PluginRow) -> list[tuple[str, str]]:
    from ..plugins import kind_of

    fields = [
        ("plugin", row.name),
        ("version", row.version),
        ("distribution", row.distribution),
        ("status", row.status),
    ]
    if row.error:
        fields.append(("error", row.error))
    fields.append(("hooks", ", ".join(row.hooks)))
    for spec in row.specs:
        about = f"{spec.id}: {spec.title}. {spec.description}"
        size = f" {spec.size_mb} MB." if spec.size_mb else ""
        licence = f" Licence: {spec.licence}." if spec.licence else ""
        fields.append((kind_of(spec), about + size + licence))
    if row.printed.strip():
        fields.append(("printed", " ".join(row.printed.split())))
    return fields


def _as_dict(row: PluginRow) -> dict[str, Any]:
    from ..plugins import kind_of

    specs = [
        {
            "kind": kind_of(spec),
            "id": spec.id,
            "title": spec.title,
            "description": spec.description,
            "factory": spec.factory,
            "licence": spec.licence,
            "size_mb": spec.size_mb,
        }
        for spec in row.specs
    ]
    return {**vars(row), "specs": specs}
