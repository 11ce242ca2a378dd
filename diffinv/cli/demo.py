"""``diffinv demo``: the whole method on the embedded backbone, with a picture at the end."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import PATH
from .output import complain, print_fields, say, stdout_for_data

if TYPE_CHECKING:
    from ..jobs.demo import Example
    from ..jobs.job import Job


@click.command(short_help="The whole method on example pictures, in about a minute.")
@click.option(
    "--out",
    type=PATH,
    default=Path("diffinv-demo"),
    metavar="DIR",
    help="Where the pictures go; default: ./diffinv-demo.",
)
@click.pass_context
def demo(ctx: click.Context, out: Path) -> None:
    """Learn a difference from two pictures, apply it to nine others, and show the result.

    Needs no network and no GPU. Running it again replaces its own pictures. After Ctrl-C its two
    jobs go on by themselves; 'diffinv jobs' watches and cancels them.
    """
    from ..jobs.demo import find_example
    from ..plugins.loading import registry

    example = find_example(registry())
    with stdout_for_data():
        learned, applied = _run(example, out)
        sheet = _contact_sheet(example, applied, out)
    for failure in applied.failures:
        complain(f"Error: {failure}")
    assert learned.difference is not None
    name, path = learned.difference
    _tell(example, name, path, out, sheet)
    if applied.failures:
        ctx.exit(1)


def _run(example: Example, out: Path) -> tuple[Job, Job]:
    """Wait for both jobs, one after the other."""
    from ..jobs.demo import submit_demo
    from ..jobs.planning import check_writable
    from ..jobs.store import JobStore
    from ..storage.store import Library
    from ..system.paths import library_folder
    from .following import follow, tell_news

    check_writable(out)
    store = JobStore()
    tell_news(store)
    learn, use = submit_demo(store, Library(library_folder()), example, out)
    if store.notice:
        complain(store.notice)
    try:
        learned = follow(store, learn.id)
    except click.Abort:
        complain(f"Job {use.id} follows it, and puts its pictures into {out / 'results'}.")
        raise
    return learned, follow(store, use.id)


def _contact_sheet(example: Example, job: Job, out: Path) -> Path:
    from ..pictures.contact_sheet import contact_sheet
    from ..pictures.reading import open_image
    from ..pictures.writing import save_png

    a, a_prime = (open_image(path) for path in example.pair)
    rows = [(open_image(done.input), open_image(done.output)) for done in job.outputs]
    path = out / "contact-sheet.png"
    save_png(contact_sheet(a, a_prime, rows, "A is to A′ as B is to B′"), path)
    return path


def _tell(example: Example, name: str, learned: Path, out: Path, sheet: Path) -> None:
    results = out / "results"
    first = next(iter(sorted(results.glob("*.png"))), results)
    print_fields(
        [
            ("Difference", str(learned.absolute())),
            ("Results", str(results.absolute())),
            ("Contact sheet", str(sheet.absolute())),
        ]
    )
    say()
    say("Try next:")
    query, again, undone = (
        _quoted(path) for path in (example.queries, out / "stronger", out / "undone")
    )
    say(f"  diffinv library show {name}")
    say(f"  diffinv apply {name}:1.5 {query} --out {again}")
    say(f"  diffinv apply {name}:-1 {_quoted(first)} --out {undone}")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
