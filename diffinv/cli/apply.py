"""``diffinv apply``: apply differences to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..method.settings import MAX_DENOISING_STEPS, MAX_RESULTS
from ..pictures.formats import FORMATS, SAME
from ..pictures.sizes import DETAILS, OFF
from .elsewhere import PLACE, brought, places, send_rest
from .options import (
    addition_options,
    backbone_option,
    detach_option,
    device_option,
    json_option,
    memory_option,
    on_option,
    seed_option,
    take_additions,
)
from .output import complain, print_job, print_json, say, stdout_for_data

if TYPE_CHECKING:
    from ..jobs.planning import ApplicationPlan
    from ..jobs.requests import ApplicationReport, ApplyRequest
    from .elsewhere import Place

_SETTINGS = ("editor", "guidance_scale", "steps", "seed", "mask_grow", "negative_prompt")


@click.command(short_help="Apply differences to pictures or folders of them.")
@click.argument("name", metavar="NAME[:STRENGTH]")
@click.argument("images", type=PLACE, nargs=-1, required=True, metavar="IMAGE_OR_FOLDER...")
@click.option("--out", type=PLACE, required=True, metavar="DIR", help="Where the results go.")
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="NAME[:STRENGTH]",
    help="One more difference to apply at once; may be given again.",
)
@backbone_option
@addition_options
@click.option("--editor", metavar="ID", help="How the noise of B is found.")
@click.option("--prompt-b", metavar="TEXT", help="What the pictures show, instead of a caption.")
@click.option(
    "--guidance-scale", type=click.FloatRange(0), metavar="X", help="Classifier-free guidance."
)
@click.option(
    "--steps", type=click.IntRange(1, MAX_DENOISING_STEPS), metavar="N", help="Denoising steps."
)
@click.option("--negative-prompt", metavar="TEXT", help="What guidance leads away from.")
@click.option(
    "--mask",
    type=PLACE,
    metavar="FILE|FOLDER",
    help="White where the pictures may change: one for all, or a folder with one of each's name.",
)
@click.option(
    "--mask-grow",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Let the difference act so much of the longer side beyond its own mask. Default: 8.",
)
@click.option("--no-reword", is_flag=True, help="Leave the prompts' own words as they are.")
@click.option("--no-mask", is_flag=True, help="Let the difference act everywhere.")
@click.option("--save-masks", is_flag=True, help="Save where it was changed, in DIR/masks.")
@click.option(
    "--size",
    default="keep",
    show_default=True,
    metavar="keep|model|N",
    help="As large as the picture, as the model makes it, or N pixels on the longer side.",
)
@click.option(
    "--detail",
    type=click.Choice(DETAILS),
    default=OFF,
    show_default=True,
    help="Make what has changed anew in tiles, to be as sharp as the picture.",
)
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default=SAME,
    show_default=True,
    help="The results' format; 'same' is PNG for formats that cannot be written.",
)
@click.option(
    "--quality",
    type=click.IntRange(1, 100),
    default=95,
    show_default=True,
    help="Of JPEG, WebP and AVIF; a JPEG from a JPEG is compressed as that was, a WebP that lost "
    "nothing loses nothing.",
)
@click.option("--strip", is_flag=True, help="Leave out what the file says of camera and place.")
@click.option(
    "--provenance/--no-provenance",
    default=True,
    show_default=True,
    help="Say in the result how it was made.",
)
@click.option("--replace", is_flag=True, help="Replace results that exist.")
@click.option(
    "--results",
    type=click.IntRange(1, MAX_RESULTS),
    default=1,
    show_default=True,
    metavar="N",
    help="Of each picture, with as many seeds, after which they are named.",
)
@click.option(
    "--batch", type=click.IntRange(1, 1024), default=8, show_default=True, help="Pictures at once."
)
@seed_option
@on_option
@device_option
@memory_option
@detach_option
@json_option
@click.pass_context
def apply(ctx: click.Context, as_json: bool, detach: bool, **options: Any) -> None:
    """Apply a difference from the library to pictures, or to every picture in a folder.

    STRENGTH is 1 unless given; a negative one undoes the difference. A result is as large as its
    picture, in the same format, and changed only where the difference acts; no existing file is
    overwritten unless you say --replace. Running the same command again does only what is new or
    was left undone. Pictures, masks and results may be at addresses, such as s3://BUCKET/FOLDER.
    """
    if carry_out(_request(**options), as_json, detach):
        ctx.exit(1)


def carry_out(request: ApplyRequest, as_json: bool, detach: bool) -> tuple[str, ...]:
    """Apply, and say what was written; the failures."""
    from ..jobs.planning import plan_application
    from .following import submit_and_follow

    shown = places(request)
    with stdout_for_data():
        plan = plan_application(request)
        if detach:
            job = submit_and_follow(request, True, plan.unsuited)
        else:
            report, warnings = _follow(request, plan)
    if detach:
        print_job(job, as_json, plan.warnings, plan.unsuited)
        return ()
    if report.skipped:
        complain(f"{report.skipped} of {len(report.outputs)} were done before and are kept.")
    for failure in report.failures:
        complain(f"Error: {failure}")
    if as_json:
        outputs = [
            {
                "input": shown(o.input),
                "output": shown(o.output),
                "seconds": o.seconds,
            }
            for o in report.outputs
        ]
        print_json({"outputs": outputs, "warnings": warnings})
    else:
        for output in report.outputs:
            say(shown(output.output))
    return report.failures


def _follow(
    request: ApplyRequest, plan: ApplicationPlan
) -> tuple[ApplicationReport, Sequence[str]]:
    """The outcome, with paths as the user gave them, and the warnings there were."""
    from ..jobs.requests import ApplicationReport
    from .following import submit_and_follow

    if not plan.targets:
        failures = (*plan.failures, *send_rest(request))
        for sentence in plan.left_out:
            complain(sentence)
        return ApplicationReport(plan.done, failures, len(plan.done)), plan.left_out
    job = submit_and_follow(request, unsuited=plan.unsuited)
    outputs = [
        replace(
            o, input=_as_given(o.input, request.images), output=_as_given(o.output, [request.out])
        )
        for o in job.outputs
    ]
    report = ApplicationReport(tuple(outputs), tuple(job.failures), job.skipped)
    return report, job.warnings


def _as_given(path: Path, given: Sequence[Path]) -> Path:
    """A path that a job made absolute, rebuilt from the folder or file the user named."""
    for root in given:
        if path.is_relative_to(root.absolute()):
            return root / path.relative_to(root.absolute())
    return path


def _request(
    name: str,
    others: tuple[str, ...],
    images: tuple[Place, ...],
    out: Place,
    mask: Place | None,
    **options: Any,
) -> ApplyRequest:
    from ..jobs.requests import ApplyRequest
    from ..method.settings import ApplicationSettings
    from ..storage.store import Library
    from ..storage.strengths import find_strength
    from ..system.paths import library_folder

    library = Library(library_folder())
    changes = {key: options.pop(key) for key in _SETTINGS}
    given = {key: value for key, value in changes.items() if value is not None}
    given |= {key: False for key in ("mask", "reword") if options.pop(f"no_{key}")}
    differences = tuple(find_strength(library, text) for text in (name, *others))
    here = brought(images, out, mask, options["save_masks"])
    return ApplyRequest(
        differences=differences,
        images=here.images,
        out=here.out,
        mask=here.mask,
        mirrors=here.mirrors,
        settings=ApplicationSettings(**given),
        additions=take_additions(options),
        **options,
    )
