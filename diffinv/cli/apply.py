"""``diffinv apply``: apply differences to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import PATH, backbone_option, device_option, json_option, seed_option
from .output import complain, print_json, say, stdout_for_data
from .progress import ProgressDisplay

if TYPE_CHECKING:
    from ..jobs.requests import ApplyRequest

_SETTINGS = ("editor", "guidance_scale", "steps", "seed")


@click.command(short_help="Apply differences to pictures or folders of them.")
@click.argument("name", metavar="NAME[:STRENGTH]")
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE_OR_FOLDER...")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Where the results go.")
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="NAME[:STRENGTH]",
    help="One more difference to apply at once; may be given again.",
)
@backbone_option
@click.option("--editor", metavar="ID", help="How the noise of B is found.")
@click.option("--prompt-b", metavar="TEXT", help="What the pictures show, instead of a caption.")
@click.option(
    "--guidance-scale", type=click.FloatRange(0), metavar="X", help="Classifier-free guidance."
)
@click.option("--steps", type=click.IntRange(1), metavar="N", help="Denoising steps.")
@seed_option
@device_option
@json_option
@click.pass_context
def apply(ctx: click.Context, as_json: bool, **options: Any) -> None:
    """Apply a difference of the library to pictures, or to every picture in a folder.

    STRENGTH is 1 unless given; a negative one undoes the difference. Results are PNG files; none
    that exists is overwritten.
    """
    request = _request(**options)
    from ..jobs.tasks import run_application

    with stdout_for_data(), ProgressDisplay() as show:
        report = run_application(request, show)
    for failure in report.failures:
        complain(f"Error: {failure}")
    if as_json:
        outputs = [
            {"input": str(o.input), "output": str(o.output), "seconds": o.seconds}
            for o in report.outputs
        ]
        print_json({"outputs": outputs})
    else:
        for output in report.outputs:
            say(str(output.output))
    if report.failures:
        ctx.exit(1)


def _request(
    name: str, others: tuple[str, ...], images: tuple[Path, ...], out: Path, **options: Any
) -> ApplyRequest:
    from ..jobs.requests import ApplyRequest, parse_strength
    from ..method.settings import ApplicationSettings

    changes = {key: options.pop(key) for key in _SETTINGS}
    given = {key: value for key, value in changes.items() if value is not None}
    return ApplyRequest(
        differences=tuple(parse_strength(text) for text in (name, *others)),
        images=images,
        out=out,
        settings=ApplicationSettings(**given),
        **options,
    )
