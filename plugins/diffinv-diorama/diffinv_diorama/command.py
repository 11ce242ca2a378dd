"""``diffinv evaluate diorama``: how often analogies come out right, beside reference methods."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .cases import Case
    from .evaluation import Parts, Row
    from .full_size import LargeRow
    from .readings import Read
    from .strengths import Curve

_KINDS = ("swap", "recolour", "light", "ground", "backdrop", "add", "remove", "detail")
_CASES = ("plain", "misaligned", "silent", "mistaken", "double", "hard")
_METHODS = (
    *("difference-inversion", "tokens-only", "words-only", "undo", "true-caption"),
    *("caption-arithmetic", "word-edit", "copy-b", "autoencoder"),
)
_PRESETS = ("default", "paper")


@click.command()
@click.option("--count", default=40, show_default=True, type=click.IntRange(1), help="Analogies.")
@click.option("--seed", default=0, show_default=True, help="Seed of the random analogies.")
@click.option("--edit", "kind", type=click.Choice(_KINDS), help="Only this type of edit.")
@click.option(
    "--case",
    type=click.Choice(_CASES),
    default="plain",
    show_default=True,
    help="How hard: A and A' in different layouts, captions that say nothing or wrong things, two "
    "changes at once, or all of these with the hardest edits.",
)
@click.option("--preset", type=click.Choice(_PRESETS), default="default", show_default=True)
@click.option("--editor", default=None, help="Editor id; default: the settings' own.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change one setting of the method (alpha=0.5, mask=false, ...); repeatable.",
)
@click.option(
    "--side",
    default=None,
    type=click.IntRange(8, 4096),
    help="Draw B this large, and judge B' at full size.",
)
@click.option(
    "--shape",
    type=click.Choice(["1:1", "3:2", "2:3"]),
    default="1:1",
    show_default=True,
    help="The shape of B, with --side.",
)
@click.option("--tiles", is_flag=True, help="Make what has changed anew in tiles, with --side.")
@click.option("--words", is_flag=True, help="Whether differences read like what they are.")
@click.option("--strengths", is_flag=True, help="How results follow the strength, from 0 to 1.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(_METHODS),
    help="Only this method; repeatable.",
)
@click.option("--device", default=None, help="torch device; default: the best available.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def diorama(
    count: int,
    seed: int,
    kind: str | None,
    case: Case,
    preset: str,
    editor: str | None,
    changes: tuple[str, ...],
    side: int | None,
    shape: str,
    tiles: bool,
    words: bool,
    strengths: bool,
    methods: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> None:
    """Random held-out analogies with known answers, judged by an independent network."""
    from diffinv.errors import UsageError
    from diffinv.method.settings import ApplicationSettings, inversion_settings

    from .cases import analogies_of
    from .evaluation import evaluate, summary
    from .full_size import evaluate_large
    from .readings import evaluate_readings
    from .strengths import CONTINUOUS, evaluate_strengths
    from .world import EDIT_TYPES

    inversion = inversion_settings(preset)
    application = ApplicationSettings(reword=preset != "paper")  # which knows no rewording
    for change in changes:
        name, equals, value = change.partition("=")
        owner = next((s for s in (inversion, application) if hasattr(s, name)), None)
        if owner is None or not equals:
            known = ", ".join(f.name for s in (inversion, application) for f in fields(s))
            raise UsageError(f"--set {change}: write NAME=VALUE with one of {known}.")
        if owner is inversion:
            inversion = _changed(inversion, name, value)
        else:
            application = _changed(application, name, value)
    application = replace(application, editor=editor) if editor else application
    kinds = CONTINUOUS if strengths else EDIT_TYPES
    chosen = analogies_of(case, count, seed, (kind,) if kind else kinds)

    def progress(done: int, total: int) -> None:
        click.echo(f"{done} of {total} analogies", err=True)

    parts = load_parts(application.editor, device)
    if side:
        across, down = map(int, shape.split(":"))
        size = side * across // max(across, down), side * down // max(across, down)
        large = evaluate_large(chosen, parts, inversion, application, size, progress, tiles)
        _print_large(large, size, as_json)
        return
    if words:
        _print_readings(evaluate_readings(chosen, parts, inversion), as_json)
        return
    if strengths:
        curves = evaluate_strengths(chosen, parts, inversion, application, progress)
        _print_strengths(curves, as_json)
        return
    rows = evaluate(chosen, parts, inversion, application, methods or _METHODS, on_batch=progress)
    if as_json:
        click.echo(
            json.dumps(
                {"count": count, "seed": seed, "case": case, "preset": preset, **summary(rows)}
            )
        )
    else:
        _print_tables(rows)


def load_parts(editor: str, device: str | None = None) -> Parts:
    """The embedded models and an editor, through the public registry."""
    import torch

    from diffinv.plugins.loading import registry

    from .evaluation import Parts

    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    found = registry()
    return Parts(
        backbone=found.create(found.get("backbone", "diorama"), None, where),
        captioner=found.create(found.get("captioner", "diorama"), None, where),
        encoder=found.create(found.get("delta encoder", "diorama"), None, where),
        editor=found.create(found.get("editor", editor)),
    )


def _changed(settings: Any, name: str, text: str) -> Any:
    """The settings with one value changed, read as the type of the present one."""
    from diffinv.errors import UsageError

    present = getattr(settings, name)
    try:
        if isinstance(present, bool):
            value: object = {"true": True, "false": False}[text.lower()]
        else:
            value = type(present)(text)
    except (KeyError, ValueError):
        raise UsageError(
            f"--set {name}={text}: expected a {type(present).__name__}, as in {name}={present}."
        ) from None
    return replace(settings, **{name: value})


def _print_large(rows: list[LargeRow], size: tuple[int, int], as_json: bool) -> None:
    from .full_size import summary

    figures = summary(rows)
    if as_json:
        click.echo(json.dumps({"size": size, "count": len(rows), **figures}))
        return
    click.echo(f"{len(rows)} analogies at {size[0]} x {size[1]}, mean and 95 % interval")
    for name, one in figures.items():
        click.echo(f"  {name:14} {one['mean']:.3f} [{one['low']:.3f}, {one['high']:.3f}]")


def _print_readings(read: list[Read], as_json: bool) -> None:
    from .readings import FIRST, summary

    figures = summary(read)
    if as_json:
        click.echo(json.dumps({"count": len(read), **figures}))
        return
    click.echo(f"share of differences with the right word among the first {FIRST}")
    for kind, one in figures.items():
        click.echo(f"  {kind:10} {_cell(one)}  n {one['n']}")


def _print_strengths(curves: list[Curve], as_json: bool) -> None:
    from .strengths import summary

    figures: Any = summary(curves)
    if as_json:
        click.echo(json.dumps({"count": len(curves), **figures}))
        return
    click.echo("share of analogies that follow the strength, and the part of the true change made")
    for kind, one in figures.items():
        interval = f"{one['monotone']:.2f} [{one['low']:.2f}, {one['high']:.2f}]"
        parts = "  ".join(f"{strength}: {part:.2f}" for strength, part in one["parts"].items())
        click.echo(f"  {kind:10} {interval}  {parts}")


def _print_tables(rows: dict[str, list[Row]]) -> None:
    from rich.console import Console
    from rich.table import Table

    from .evaluation import SCORES, summary

    console = Console()
    figures: Any = summary(rows)
    table = Table(title=f"{len(next(iter(rows.values())))} analogies, mean and 95 % interval")
    table.add_column("method")
    for name in SCORES:
        table.add_column(name.replace("_", " "), justify="right")
    for method, scores in figures["methods"].items():
        table.add_row(method, *(_cell(scores[name]) for name in SCORES))
    console.print(table)
    by_type = Table(title="right, by type of edit")
    by_type.add_column("edit")
    for method in rows:
        by_type.add_column(method, justify="right")
    for kind, methods in figures["edits"].items():
        by_type.add_row(kind, *(f"{methods[m]['right']['mean']:.2f}" for m in rows))
    console.print(by_type)


def _cell(estimate: dict[str, float]) -> str:
    return f"{estimate['mean']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
