"""``diffinv plugins``: which are installed, what each brings, and what is wrong with it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..system.text import text_safe
from .options import device_option, json_option
from .output import complain, print_fields, print_json, print_table, say, stdout_for_data

if TYPE_CHECKING:
    from ..conformance import CheckResult
    from ..contracts import Spec
    from ..plugins.installing import Change
    from ..plugins.rows import PluginRow

_KINDS = ("backbone", "captioner", "delta-encoder", "editor", "method", "world")


@click.group()
def plugins() -> None:
    """List, show, check, install, enable and disable plugins."""


@plugins.command("list")
@json_option
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool) -> None:
    """Every installed plugin with its version and status; for broken ones, the reason."""
    from ..plugins.rows import in_words

    rows = _rows(ctx)
    if as_json:
        print_json([_as_dict(row) for row in rows])
        return
    headers = ("PLUGIN", "VERSION", "DISTRIBUTION", "STATUS", "BRINGS")
    print_table(
        headers,
        [
            (r.name, r.version, r.distribution, in_words(r.status), r.error or _brings(r))
            for r in rows
        ],
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


@plugins.command("enable")
@click.argument("name")
@click.pass_context
def enable_plugin(ctx: click.Context, name: str) -> None:
    """Use a switched-off plugin again."""
    _switch(ctx, name, on=True)


@plugins.command("disable")
@click.argument("name")
@click.pass_context
def disable_plugin(ctx: click.Context, name: str) -> None:
    """Switch a plugin off until it is enabled again; it stays installed."""
    _switch(ctx, name, on=False)


def _switch(ctx: click.Context, name: str, on: bool) -> None:
    from ..plugins.loading import look_again
    from ..plugins.switches import can_be_disabled, switch

    row = next((row for row in _rows(ctx) if name in (row.name, row.distribution)), None)
    if row is None:
        raise UsageError(f"There is no plugin {name!r}; 'diffinv plugins list' shows them all.")
    if not can_be_disabled(row):
        raise UsageError(f"{name!r} is a part of diffinv itself and is always used.")
    switch(name, on)
    if on:
        look_again(name)
    say(f"{name} is {'used' if on else 'switched off'} from now on.")


@plugins.command("check")
@click.argument("part", metavar="ID[=PATH]")
@click.option("--kind", type=click.Choice(_KINDS), help="Which kind, if an id names several.")
@device_option
@json_option
@click.pass_context
def check_plugin(
    ctx: click.Context, part: str, kind: str | None, device: str | None, as_json: bool
) -> None:
    """Load the part ID and check that it keeps the promises of the plugin interface.

    The exit code is 1 if a check fails.
    """
    from ..running.parts import parse_part

    id, weights = parse_part(part)
    specs = _specs_to_check(id, kind)
    with stdout_for_data():
        reports = [(spec, _check(spec, weights, device)) for spec in specs]
    if as_json:
        print_json([_report_as_dict(spec, results) for spec, results in reports])
    else:
        for spec, results in reports:
            _print_report(spec, results)
    if not all(result.passed for _, results in reports for result in results):
        ctx.exit(1)


def _specs_to_check(id: str, kind: str | None) -> list[Spec]:
    """Every installed part with that id, of the given kind if any."""
    from ..plugins.checking import HOOKS
    from ..plugins.loading import registry

    kinds = [known for known, _ in HOOKS.values() if kind in (None, known.replace(" ", "-"))]
    found = [registry().parts(known).get(id) for known in kinds]
    specs: list[Spec] = [spec for spec in found if spec is not None]
    if specs:
        return specs
    known = sorted({known for kind_ in kinds for known in registry().parts(kind_)})
    raise UsageError(f"There is no part {id!r} to check; installed: {', '.join(known) or 'none'}.")


def _check(spec: Spec, weights: str | None, device: str | None) -> list[CheckResult]:
    from ..conformance import check_part, check_spec
    from ..contracts import MethodSpec
    from ..plugins.checking import kind_of
    from ..plugins.loading import registry
    from ..running.models import choose_device

    if isinstance(spec, MethodSpec):
        from ..evaluation.bench import ModelBench

        bench = ModelBench(device=choose_device(device))
        return check_part("method", registry().create_method(spec, weights, bench, {}))
    before = check_spec(spec)
    part = registry().create(spec, weights, choose_device(device))
    return [*before, *check_part(kind_of(spec), part)]


def _print_report(spec: Spec, results: list[CheckResult]) -> None:
    from ..plugins.checking import kind_of

    say(f"{kind_of(spec)} {spec.id}")
    for result in results:
        mark = "pass" if result.passed else "FAIL"
        detail = f" ({result.detail})" if result.detail and result.passed else ""
        say(f"  {mark}  {result.promise}{detail}")
        if not result.passed:
            say(f"        {result.name}: {result.detail}")
    failed = sum(not result.passed for result in results)
    say(f"  {len(results)} checks, {failed or 'none'} failed")


def _report_as_dict(spec: Spec, results: list[CheckResult]) -> dict[str, Any]:
    from ..plugins.checking import kind_of

    checks = [vars(result) for result in results]
    passed = all(result.passed for result in results)
    return {"kind": kind_of(spec), "id": spec.id, "passed": passed, "checks": checks}


@plugins.command("install")
@click.argument("what", metavar="NAME_OR_PATH")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def install_plugin(what: str, yes: bool, as_json: bool) -> None:
    """Install a plugin with pip, after showing what would change and asking.

    NAME is the name of a distribution, PATH a folder or a wheel (with a slash, or ending in .whl).
    Whatever comes from an index is taken as wheels only. A folder has to be built first, which runs
    its own build code: that is asked before. Anything that would change the installed torch or
    textual is refused.
    """
    from ..plugins import installing as pip

    target = pip.parse_target(what)
    if not yes and pip.runs_code(target):
        _ask(f"To show what would change, pip runs the build code in {what}. Run it?")
    changes = pip.plan(target)
    if not as_json:
        _print_changes(changes)
    pip.refuse_guarded(what, changes)
    if not yes and changes:
        _ask("Install this?")
    if changes:
        pip.install(target)
    _tell_installed(changes, as_json)


def _print_changes(changes: list[Change]) -> None:
    if not changes:
        say("Nothing would change: all of it is installed.")
        return
    rows = [(change.name, change.before or "-", change.after) for change in changes]
    print_table(("WOULD CHANGE", "NOW", "THEN"), rows)


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError(
            f"There is nobody to ask here ({text_safe(question)}); add --yes to agree."
        )
    click.confirm(text_safe(question), abort=True, err=True)


def _tell_installed(changes: list[Change], as_json: bool) -> None:
    from ..plugins import installing as pip

    found = [name for change in changes for name in pip.plugins_of(change.name)]
    if as_json:
        print_json({"changes": [vars(change) for change in changes], "plugins": found})
    elif found:
        say(f"Installed: {', '.join(found)}; 'diffinv plugins list' shows what it brings.")
    elif changes:
        complain("Installed, but none of it is a diffinv plugin.")


def _rows(ctx: click.Context) -> list[PluginRow]:
    """The rows, once the plugins have also been asked for their commands."""
    from ..plugins.loading import registry

    root = ctx.find_root().command
    if isinstance(root, click.Group):
        registry().register_commands(root)
    return registry().rows


def _names(row: PluginRow) -> set[str]:
    return {row.name, row.distribution, *(spec.id for spec in row.specs)}


def _brings(row: PluginRow) -> str:
    from ..plugins.checking import COMMANDS_HOOK, kind_of

    parts = [f"{kind_of(spec)} {spec.id}" for spec in row.specs]
    return ", ".join(parts + (["commands"] if COMMANDS_HOOK in row.hooks else []))


def _fields(row: PluginRow) -> list[tuple[str, str]]:
    from ..plugins.checking import kind_of
    from ..plugins.rows import in_words

    fields = [
        ("plugin", row.name),
        ("version", row.version),
        ("distribution", row.distribution),
        ("status", in_words(row.status)),
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
    from ..plugins.checking import kind_of

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
