"""``diffinv again``: what made a result, once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .apply import carry_out
from .options import (
    PATH,
    addition_options,
    backbone_option,
    detach_option,
    device_option,
    json_option,
    memory_option,
    take_additions,
)


@click.command(short_help="Make a result once more, or others in the same way.")
@click.argument("result", type=PATH)
@click.argument("images", type=PATH, nargs=-1, metavar="[IMAGE_OR_FOLDER...]")
@click.option("--out", type=PATH, metavar="DIR", help="Default: 'again' beside RESULT.")
@click.option("--mask", type=PATH, metavar="FILE|FOLDER", help="The mask, if there was one.")
@backbone_option
@addition_options
@device_option
@memory_option
@detach_option
@json_option
@click.pass_context
def again(
    ctx: click.Context,
    result: Path,
    images: tuple[Path, ...],
    out: Path | None,
    mask: Path | None,
    backbone: str | None,
    device: str | None,
    memory: str | None,
    as_json: bool,
    detach: bool,
    **added: Any,
) -> None:
    """Do what made RESULT once more: the same difference, strength, seed and settings.

    Without pictures the one that it was made from is looked for near it, and has the same prompt:
    on the same machine the same comes out, bit for bit. Others get prompts of their own.
    """
    from ..jobs.again import request_again

    request = request_again(result, images, out, mask, take_additions(added))
    request = replace(request, backbone=backbone, device=device, memory=memory)
    if carry_out(request, as_json, detach):
        ctx.exit(1)
