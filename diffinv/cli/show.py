"""``diffinv show``: how a result was made, or what a difference is."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PATH, json_option
from .output import print_fields, print_json


@click.command(short_help="How a result was made, or what a difference is.")
@click.argument("file", type=PATH)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Say how the result in FILE was made: with which difference, model, settings and prompt.

    Of a difference (.safetensors) it shows what 'library show' does.
    """
    from ..difference import SUFFIX

    if file.suffix == SUFFIX:
        from .library import print_difference

        print_difference(str(file), as_json)
        return
    from ..jobs.again import provenance_of

    found = provenance_of(file)
    if as_json:
        print_json(found)
    else:
        print_fields([(key.replace("_", " "), _words(value)) for key, value in found.items()])


def _words(value: object) -> str:
    """A value in a line: lists side by side, the parts of an object with their names."""
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return " ".join(f"{key} {_words(inner)}" for key, inner in value.items())
    return str(value)
