"""``diffinv evaluate table1``, the figures, and ``report``: methods side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ..errors import DiffinvError, UsageError
from .options import PATH, device_option, json_option, on_option
from .output import complain, print_json, print_table, say, stdout_for_data
from .progress import ProgressDisplay

if TYPE_CHECKING:
    from ..evaluation.answering import Column
    from ..evaluation.tables import Table

_OURS = "difference-inversion"

_OPTIONS = (
    click.option(
        "--data",
        metavar="WORLD[:CASE]|PATH",
        help="A world with known answers, a manifest (.csv, .jsonl, .parquet), or a folder of "
        "triplets.",
    ),
    click.option(
        "--count",
        type=click.IntRange(1),
        help="At most so many triplets; default: all, 40 of a world, 300 of InstructPix2Pix's.",
    ),
    click.option(
        "--seed", default=0, show_default=True, help="Draws triplets, and each method's own."
    ),
    click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="METHOD.NAME=VALUE",
        help="Change a setting of a method; repeatable.",
    ),
    click.option("--backbone", metavar="ID[=PATH]", help="The text-to-image model of all methods."),
    click.option("--captioner", metavar="ID[=PATH]", help="What describes pictures to methods."),
    click.option(
        "--encoder",
        "encoders",
        multiple=True,
        metavar="ID[=PATH]",
        help="A delta encoder that scores directions; repeatable. Default: the backbone's.",
    ),
    click.option(
        "--lpips", is_flag=True, help="Score LPIPS, too; its weights are fetched if not there."
    ),
    click.option(
        "--log",
        "logs",
        type=click.Choice(["tensorboard", "wandb"]),
        multiple=True,
        help="Log the table and some pictures there, too; repeatable.",
    ),
    click.option(
        "--batch",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Triplets at once, where a method can (difference-inversion): faster, and the same "
        "pictures up to rounding.",
    ),
    click.option("--from", "lock", type=PATH, help="Repeat the comparison of this lock file."),
    click.option("--out", type=PATH, required=True, help="The comparison's folder."),
    on_option,
    device_option,
    json_option,
)


@dataclass(frozen=True)
class _Asked:
    """The options that all comparisons share."""

    data: str | None
    count: int | None
    seed: int
    changes: tuple[str, ...]
    backbone: str | None
    captioner: str | None
    encoders: tuple[str, ...]
    lpips: bool
    logs: tuple[str, ...]
    batch: int
    lock: Path | None
    out: Path
    on: str
    device: str | None
    as_json: bool


def _comparing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of :class:`_Asked` on a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(short_help="Compare methods on the same analogies (Table 1).")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="ID[=PATH]",
    help="A method to compare; repeatable. 'diffinv evaluate methods' lists them.",
)
@_comparing
def table1(methods: tuple[str, ...], **asked: Any) -> None:
    """Every method's B′ for the same triplets, scored.

    An interrupted comparison goes on where it stopped. OUT gets the pictures, table.json,
    table.csv, report.html and lock.json, from which --from makes all of it again.
    """
    from ..evaluation.answering import columns_of
    from ..evaluation.comparing import default_methods

    def columns(given: _Asked, tuned: Mapping[str, Any]) -> list[Column]:
        return columns_of(methods or default_methods(given.backbone), given.changes, tuned)

    _carry_out(_Asked(**asked), "Methods side by side", columns)


@click.command(short_help="Leave out each part of the method (Figure 5).")
@_comparing
def ablation(**asked: Any) -> None:
    """Difference inversion as it is, and without each of its parts, on the same triplets."""
    _figure("ablation", _Asked(**asked))


@click.command(short_help="Vary the number of DIFF tokens (Figure 6).")
@_comparing
def tokens(**asked: Any) -> None:
    """Difference inversion with other numbers of tokens, and with tokens in other places."""
    _figure("tokens", _Asked(**asked))


@click.command(short_help="Vary the share of the text delta (Figure 7).")
@_comparing
def alpha(**asked: Any) -> None:
    """Difference inversion with α from 0, the image delta alone, to 1, the text delta alone."""
    _figure("alpha", _Asked(**asked))


@click.command(short_help="Run the method on other models (Figure 8).")
@click.option(
    "--to",
    "backbones",
    metavar="ID[=PATH]",
    multiple=True,
    required=True,
    help="Another text-to-image model; repeatable.",
)
@_comparing
def transfer(backbones: tuple[str, ...], **asked: Any) -> None:
    """Difference inversion on --backbone and on each model --to, for the same triplets."""
    from ..evaluation.figures import transfer_columns

    def columns(given: _Asked, tuned: Mapping[str, Any]) -> list[Column]:
        return transfer_columns(_ours(given, tuned), backbones)

    _carry_out(_Asked(**asked), "One method on several models (Figure 8)", columns)


def _figure(name: str, asked: _Asked) -> None:
    from ..evaluation.figures import FIGURES, figure_columns

    figure = FIGURES[name]

    def columns(given: _Asked, tuned: Mapping[str, Any]) -> list[Column]:
        return figure_columns(figure, _ours(given, tuned))

    _carry_out(asked, figure.title, columns)


def _ours(asked: _Asked, tuned: Mapping[str, Any]) -> Column:
    from ..evaluation.answering import columns_of

    return columns_of([_OURS], asked.changes, tuned)[0]


def _carry_out(
    asked: _Asked, title: str, columns: Callable[[_Asked, Mapping[str, Any]], Sequence[Column]]
) -> None:
    """Make a comparison, or what is missing of it, and show its table."""
    if (asked.data is None) == (asked.lock is None):
        raise UsageError("Say what to compare on with --data, or repeat a comparison with --from.")
    if asked.lock:
        _refuse_beside_lock(click.get_current_context())
    with stdout_for_data():
        from ..engines import engine_of
        from ..evaluation.comparing import Comparison, compare, tuned_for
        from ..running.progress import Progress

        engine = engine_of(asked.on)
        if asked.lock:
            wanted = Comparison.locked(asked.lock)
        else:
            assert asked.data is not None
            found = tuple(columns(asked, tuned_for(asked.data)))
            wanted = Comparison(
                asked.data,
                asked.count,
                asked.seed,
                found,
                asked.backbone,
                asked.encoders,
                asked.device,
                asked.lpips,
                asked.captioner,
                asked.batch,
            )
        with ProgressDisplay() as display:
            table = compare(
                wanted,
                asked.out,
                title,
                engine,
                asked.logs,
                lambda column, done, total: display(Progress(column, done, total)),
                complain,
            )
    _show(table, asked.as_json)
    if not asked.as_json:
        say(f"Pictures, tables and a page to look at: {asked.out / 'report.html'}")


_BESIDE_LOCK = ("lock", "out", "logs", "on", "as_json")


def _refuse_beside_lock(ctx: click.Context) -> None:
    """A lock says all that decides the pictures."""
    for option in ctx.command.params:
        given = ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in _BESIDE_LOCK:
            raise UsageError(f"--from takes all from the lock: leave out {option.opts[0]}.")


@click.command(short_help="Show the tables of comparisons, side by side.")
@click.argument("folders", type=PATH, nargs=-1, required=True)
@json_option
def report(folders: tuple[Path, ...], as_json: bool) -> None:
    """The table of a finished comparison, or those of several in one, each row named after its
    folder."""
    found = {str(folder): _read(folder / "table.json") for folder in folders}
    if as_json:
        print_json(found)
        return
    from ..evaluation.tables import joined

    _show(joined(found), False)


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
