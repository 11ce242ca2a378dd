"""``diffinv invert``: learn a difference."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..engines import LOCAL
from ..errors import UsageError
from ..method.settings import (
    MAX_DENOISING_STEPS,
    MAX_LEARNING_STEPS,
    MAX_SIDE,
    MAX_TOKENS,
    MIN_SIDE,
    PRESETS,
    TOKEN_SPACES,
)
from .options import (
    PATH,
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
from .output import print_job, print_json, say, stdout_for_data

if TYPE_CHECKING:
    from ..jobs.requests import InvertRequest

_SETTINGS = (
    "prompter",
    "token_space",
    "pooled",
    "tokens",
    "alpha",
    "steps",
    "lr",
    "seed",
    "side",
    "preview",
)


class PreviewSteps(click.IntRange):
    """A number of steps, or ``none``, which is 0."""

    def __init__(self) -> None:
        super().__init__(1, MAX_DENOISING_STEPS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of steps."""
        return 0 if value == "none" else super().convert(value, param, ctx)


@click.command(short_help="Learn the difference between two pictures.")
@click.argument("a", type=PATH, required=False)
@click.argument("a_prime", type=PATH, required=False)
@click.option(
    "--pair",
    "more_pairs",
    type=PATH,
    nargs=2,
    multiple=True,
    metavar="A A_PRIME",
    help="One more pair that shows the same difference; may be given again.",
)
@click.option(
    "--manifest",
    type=PATH,
    metavar="FILE",
    help="Learn a difference from each row of a .csv or .jsonl instead: A, A_prime, id (its name), "
    "caption_a, caption_a_prime.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Differences of a --manifest to learn at once: faster on a GPU, and the same up to "
    "rounding.",
)
@click.option("--name", metavar="N", help="What to call it; default: from the files' names.")
@backbone_option
@addition_options
@click.option("--captioner", metavar="ID[=PATH]", help="What describes the pictures.")
@click.option(
    "--prompter",
    type=click.Choice(["caption", "pez"]),
    help="What makes the prompts: the captions themselves, or PEZ.",
)
@click.option("--delta-encoder", metavar="ID[=PATH]", help="The joint space of deltas.")
@click.option(
    "--caption-a", multiple=True, metavar="TEXT", help="A's caption by hand, once for each pair."
)
@click.option(
    "--caption-a-prime", multiple=True, metavar="TEXT", help="A′'s caption, once for each pair."
)
@click.option(
    "--preset",
    type=click.Choice(sorted(PRESETS)),
    default="default",
    help="All settings at once: the best measured (default), or the paper's.",
)
@click.option(
    "--token-space",
    type=click.Choice(TOKEN_SPACES),
    help="Where the tokens meet the prompt: added to it, as words, or behind it.",
)
@click.option(
    "--pooled",
    is_flag=True,
    default=None,
    help="Move the model's pooled text embedding as well (SDXL, SD 3.5).",
)
@click.option(
    "--tokens", type=click.IntRange(1, MAX_TOKENS), metavar="N", help="How many DIFF tokens."
)
@click.option(
    "--alpha", type=click.FloatRange(0, 1), metavar="X", help="Weight of the captions' delta."
)
@click.option(
    "--steps", type=click.IntRange(1, MAX_LEARNING_STEPS), metavar="N", help="How many updates."
)
@click.option("--lr", type=click.FloatRange(0, min_open=True), metavar="X", help="Learning rate.")
@click.option(
    "--side",
    type=click.IntRange(MIN_SIDE, MAX_SIDE),
    metavar="PX",
    help="Learn at about PX times PX pixels, where the model's own size takes too long.",
)
@click.option(
    "--preview",
    type=PreviewSteps(),
    metavar="none|N",
    help="Sampling steps of the preview, default 20; none: make no preview.",
)
@seed_option
@on_option
@device_option
@memory_option
@detach_option
@json_option
@click.pass_context
def invert(
    ctx: click.Context,
    manifest: Path | None,
    on: str,
    batch: int,
    as_json: bool,
    detach: bool,
    **options: Any,
) -> None:
    """Learn the difference between the pictures A and A_PRIME and keep it in the library.

    After Ctrl-C the job goes on by itself; 'diffinv jobs' watches, cancels and resumes it.
    With --manifest every row is a job of its own; with --batch they are one job, and with --on ray
    the machines of a cluster share it. Rows that the library has are left out, so the same command
    goes on after a crash.
    """
    _check_pictures(manifest, options, on, detach)
    if batch > 1 and manifest is None:
        raise UsageError("--batch is for many differences at once: give a --manifest of them.")
    if manifest:
        from .inverting_many import invert_rows

        example = _request(**options | {"a": manifest, "a_prime": manifest})
        if not invert_rows(manifest, example, on, batch, as_json):
            ctx.exit(1)
        return
    request = _request(**options)
    from ..difference import read_info
    from ..jobs.planning import plan_inversion
    from .following import submit_and_follow

    with stdout_for_data():
        plan = plan_inversion(request)
        job = submit_and_follow(request, detach, plan.unsuited)
    if detach:
        print_job(job, as_json, plan.warnings, plan.unsuited)
        return
    assert job.difference is not None
    path = job.difference[1]
    info = read_info(path)
    if as_json:
        print_json(
            {
                "name": info.name,
                "path": str(path),
                "hash_sha256": info.hash_sha256,
                "seconds": info.seconds,
                "steps": request.settings.steps,
                "warnings": job.warnings,
            }
        )
        return
    say(f"Learned {info.name!r} in {info.seconds:.1f} s: {path}")
    say(f"Try: diffinv apply {shlex.quote(info.name)} IMAGE_OR_FOLDER --out DIR")


def _request(
    a: Path,
    a_prime: Path,
    more_pairs: tuple[tuple[Path, Path], ...],
    caption_a: tuple[str, ...],
    caption_a_prime: tuple[str, ...],
    preset: str,
    **options: Any,
) -> InvertRequest:
    from ..jobs.requests import InvertRequest
    from ..method.settings import inversion_settings

    pairs = ((a, a_prime), *more_pairs)
    if caption_a or caption_a_prime:
        _check_captions(len(pairs), len(caption_a), len(caption_a_prime))
    changes = {key: options.pop(key) for key in _SETTINGS}
    return InvertRequest(
        pairs=pairs,
        captions=tuple(zip(caption_a, caption_a_prime, strict=True)),
        additions=take_additions(options),
        settings=inversion_settings(preset, **changes),
        **options,
    )


def _check_pictures(manifest: Path | None, options: dict[str, Any], on: str, detach: bool) -> None:
    if manifest is None:
        if options["a"] is None or options["a_prime"] is None:
            raise UsageError("Name two pictures, A and A_PRIME, or a --manifest of them.")
        if on != LOCAL:
            raise UsageError("--on is for many differences at once: give a --manifest of them.")
        return
    single = ("a", "more_pairs", "name", "caption_a", "caption_a_prime")
    if any(options[name] for name in single) or detach:
        raise UsageError(
            "With --manifest pictures, names and captions come from its rows: leave out A, "
            "A_PRIME, --pair, --name, --caption-a, --caption-a-prime and --detach."
        )


def _check_captions(pairs: int, befores: int, afters: int) -> None:
    if befores != pairs or afters != pairs:
        raise UsageError(
            "Give --caption-a and --caption-a-prime once for each pair: "
            f"there are {pairs} pairs, {befores} and {afters} captions."
        )
