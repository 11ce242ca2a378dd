"""``diffinv evaluate study``: what people prefer (Table 2)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .options import PATH, json_option
from .output import complain, print_json, print_table, say, stdout_for_data

if TYPE_CHECKING:
    from ..evaluation.runs import Run


@click.group()
def study() -> None:
    """Ask people which answer completes an analogy (Table 2)."""


@study.command(short_help="Make a page to send to people.")
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="FILE.html", help="The page.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="COLUMN",
    help="A column of the comparison to choose from; repeatable. Default: all that did not see B′.",
)
@click.option(
    "--questions", type=click.IntRange(1, 500), default=50, show_default=True, help="At most."
)
@click.option(
    "--checks",
    type=click.IntRange(0, 50),
    default=3,
    show_default=True,
    help="Questions with an obvious answer, to tell who looks.",
)
@click.option("--seed", default=0, show_default=True, help="Draws the questions.")
def make(
    run: Path, out: Path, methods: tuple[str, ...], questions: int, checks: int, seed: int
) -> None:
    """Make one self-contained page from the comparison in the folder RUN, and its key beside it.

    Send the page to people, not the key: it says whose picture is whose. Each person gets a file
    with answers to send back.
    """
    with stdout_for_data():
        from ..evaluation.comparing import contestants, open_run
        from ..evaluation.study import make_study, write_key
        from ..system.files import atomic_write

        opened = open_run(run)
        columns = chosen(opened, methods) if methods else contestants(opened)
        page, key = make_study(opened, columns, questions, checks, seed)
        place = out.with_suffix(".key.json")
        write_key(key, place)
        atomic_write(out, page.encode())
    asked = len(key.options)
    if asked < questions:
        complain(f"Only {asked} triplets have answers of every method.")
    say(f"{asked} questions and {len(key.checks)} checks, {len(columns)} options each: {out}")
    say(f"Keep this key to yourself: {place}")


@click.command("read", short_help="Count people's answers.")
@click.argument("key", type=PATH, metavar="KEY")
@click.argument("answers", type=PATH, nargs=-1, required=True, metavar="ANSWERS...")
@json_option
def read(key: Path, answers: tuple[Path, ...], as_json: bool) -> None:
    """Table 2 from the KEY of a study and people's files of answers, or folders of them.

    People who miss an attention check are left out. Intervals are 95 % bootstrap over people and
    questions; agreement is Krippendorff's alpha.
    """
    from ..evaluation.people import read_people
    from ..evaluation.study import read_key

    found = read_people(read_key(key), list(_files(answers)))
    for sentence in found.left_out:
        complain(f"Left out: {sentence}.")
    if as_json:
        print_json(json.loads(json.dumps(asdict(found))))
        return
    rows = [
        (column, f"{100 * s.mean:.1f} % [{100 * s.low:.1f}, {100 * s.high:.1f}]")
        for column, s in found.shares.items()
    ]
    print_table(["METHOD", "preferred"], rows)
    agreement = "unknown" if math.isnan(found.alpha) else f"{found.alpha:.2f}"
    people = f"{found.participants} people, {found.answers} answers"
    say(f"{people}; agreement (Krippendorff's α) {agreement}")


study.add_command(read)


def chosen(run: Run, names: tuple[str, ...]) -> list[str]:
    """Columns of a comparison by their names."""
    known = [column.name for column in run.columns]
    for name in names:
        if name not in known:
            raise UsageError(f"The comparison has no column {name!r}; it has: {', '.join(known)}.")
    if len(set(names)) < 2:
        raise UsageError("Name at least two columns to choose from.")
    return list(dict.fromkeys(names))


def _files(paths: tuple[Path, ...]) -> list[Path]:
    found = []
    for path in paths:
        found += sorted(path.glob("*.json")) if path.is_dir() else [path]
    return found
