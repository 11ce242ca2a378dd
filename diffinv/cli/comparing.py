"""``diffinv evaluate table1`` and ``report``: methods side by side on the same analogies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DiffinvError, UsageError
from .options import PATH, device_option, json_option
from .output import complain, print_json, print_table, say, stdout_for_data
from .progress import ProgressDisplay

if TYPE_CHECKING:
    from ..evaluation.tables import Table


@click.command(short_help="Compare methods on the same analogies (Table 1).")
@click.option(
    "--data",
    metavar="WORLD[:CASE]|PATH",
    help="A world with known answers, a manifest (.csv, .jsonl), or a folder of triplets.",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    help="At most so many triplets; default: all, 40 of a world, 300 of InstructPix2Pix's.",
)
@click.option("--seed", default=0, show_default=True, help="Draws triplets, and each method's own.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="ID[=PATH]",
    help="A method to compare; repeatable. 'diffinv evaluate methods' lists them.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="METHOD.NAME=VALUE",
    help="Change a setting of a method; repeatable.",
)
@click.option("--backbone", metavar="ID[=PATH]", help="The text-to-image model of all methods.")
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="ID[=PATH]",
    help="A delta encoder that scores directions; repeatable. Default: the backbone's.",
)
@click.option("--from", "lock", type=PATH, help="Repeat the comparison of this lock file.")
@click.option("--out", type=PATH, required=True, help="The comparison's folder.")
@device_option
@json_option
def table1(
    data: str | None,
    count: int | None,
    seed: int,
    methods: tuple[str, ...],
    changes: tuple[str, ...],
    backbone: str | None,
    encoders: tuple[str, ...],
    lock: Path | None,
    out: Path,
    device: str | None,
    as_json: bool,
) -> None:
    """Every method's B′ for the same triplets, scored.

    An interrupted comparison goes on where it stopped. OUT gets the pictures, table.json,
    table.csv, report.html and lock.json, from which --from makes all of it again.
    """
    if (data is None) == (lock is None):
        raise UsageError("Say what to compare on with --data, or repeat a comparison with --from.")
    with stdout_for_data():
        from ..evaluation.comparing import Comparison, compare, default_methods
        from ..running.progress import Progress

        if lock:
            wanted = Comparison.locked(lock)
        else:
            assert data is not None
            wanted = Comparison.planned(
                data,
                count,
                seed,
                methods or default_methods(backbone),
                changes,
                backbone=backbone,
                encoders=encoders,
                device=device,
            )
        with ProgressDisplay() as display:
            table = compare(
                wanted,
                out,
                "Methods side by side",
                lambda column, done, total: display(Progress(column, done, total)),
                complain,
            )
    _show(table, as_json)
    if not as_json:
        say(f"Pictures, tables and a page to look at: {out / 'report.html'}")


@click.command(short_help="Show the tables of comparisons again.")
@click.argument("folders", type=PATH, nargs=-1, required=True)
@json_option
def report(folders: tuple[Path, ...], as_json: bool) -> None:
    """The tables of finished comparisons, one after another."""
    found = {str(folder): _read(folder / "table.json") for folder in folders}
    if as_json:
        print_json(found)
        return
    for name, table in found.items():
        say(name)
        _show(table, False)


@click.command("methods", short_help="List the methods that can be compared.")
@json_option
def methods_command(as_json: bool) -> None:
    """Every installed method, what it needs, and its settings."""
    from ..plugins.loading import registry

    specs = list(registry().parts("method").values())
    if as_json:
        rows = [
            {"id": s.id, "title": s.title, "needs": s.needs, "settings": dict(s.settings)}
            for s in specs
        ]
        print_json(rows)
        return
    print_table(
        ["METHOD", "NEEDS", "WHAT IT IS"],
        [
            (s.id, ", ".join((*s.needs, *([s.network] if s.network else []))), s.description)
            for s in specs
        ],
    )


def _read(path: Path) -> Table:
    try:
        table: Table = json.loads(path.read_text(encoding="utf-8"))
        table["columns"], table["scores"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DiffinvError(f"{str(path)!r} is no table of a comparison: {error}.") from error
    return table


def _show(table: Table, as_json: bool) -> None:
    from ..evaluation.tables import cell, shown_scores

    if as_json:
        print_json(table)
        return
    scores = shown_scores(table)
    print_table(
        ["METHOD", *scores],
        [
            (column, *(cell(table, column, score) for score in scores))
            for column in table["columns"]
        ],
    )
    for column, found in table["columns"].items():
        if found["errors"]:
            first = next(iter(found["errors"].values()))
            complain(f"{column}: {len(found['errors'])} answers are missing; the first: {first}")
