"""``diffinv demo``: the whole method on the embedded backbone, ending with a picture."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DiffinvError
from .options import PATH
from .output import complain, print_fields, say, stdout_for_data
from .progress import ProgressDisplay

if TYPE_CHECKING:
    from ..jobs.requests import ApplicationReport


@dataclass(frozen=True)
class _Example:
    """The pictures that a backbone brings: ``a.png``, ``a_prime.png`` and the folder ``b``."""

    backbone: str
    folder: Path

    @property
    def pair(self) -> tuple[Path, Path]:
        return self.folder / "a.png", self.folder / "a_prime.png"

    @property
    def queries(self) -> Path:
        return self.folder / "b"


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
    """Learn a difference from two pictures, apply it to eight others, and show the result.

    Needs no network and no GPU. When run again, it replaces its own pictures.
    """
    example = _example()
    with stdout_for_data(), ProgressDisplay() as show:
        name, learned, report = _run(example, out, show)
        sheet = _contact_sheet(example, report, out)
    for failure in report.failures:
        complain(f"Error: {failure}")
    _tell(example, name, learned, out, sheet)
    if report.failures:
        ctx.exit(1)


def _example() -> _Example:
    """The first backbone that brings example pictures."""
    from ..plugins import registry

    for spec in registry().backbones.values():
        if folder := spec.defaults.get("example"):
            return _Example(spec.id, Path(folder))
    raise DiffinvError(
        "No installed backbone brings example pictures; install diffinv-diorama, or see "
        "'diffinv plugins list' for what is broken."
    )


def _run(
    example: _Example, out: Path, show: ProgressDisplay
) -> tuple[str, Path, ApplicationReport]:
    """Both tasks with one set of models: the difference's name and file, and the results."""
    from ..jobs.checks import check_writable
    from ..jobs.requests import ApplyRequest, InvertRequest
    from ..jobs.tasks import Models, run_application, run_inversion

    check_writable(out)
    models = Models()
    difference, path = run_inversion(
        InvertRequest(
            pairs=(example.pair,), name="demo", free_name=True, backbone=example.backbone
        ),
        show,
        models,
    )
    name = difference.info.name
    request = ApplyRequest(
        differences=((name, 1.0),),
        images=(example.queries,),
        out=out / "results",
        backbone=example.backbone,
        replace=True,
    )
    return name, path, run_application(request, show, models)


def _contact_sheet(example: _Example, report: ApplicationReport, out: Path) -> Path:
    from ..images import contact_sheet, open_image, save_png

    a, a_prime = (open_image(path) for path in example.pair)
    rows = [(open_image(done.input), open_image(done.output)) for done in report.outputs]
    path = out / "contact-sheet.png"
    save_png(contact_sheet(a, a_prime, rows, "A is to A′ as B is to B′"), path)
    return path


def _tell(example: _Example, name: str, learned: Path, out: Path, sheet: Path) -> None:
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
