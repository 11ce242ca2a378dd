"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path

import click

from ..method.settings import MAX_SEED

PATH = click.Path(path_type=Path)
"""Paths are checked when they are opened, since that can say what is wrong with them."""

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout, and nothing else there."
)
backbone_option = click.option(
    "--backbone",
    metavar="ID[=PATH]",
    help="The text-to-image model, with its weights' path or hub id if they are not the default.",
)
device_option = click.option(
    "--device", metavar="D", help="cpu, cuda, cuda:1, mps; default: the best available."
)
on_option = click.option(
    "--on",
    default="local",
    show_default=True,
    metavar="local|ray|ray://HOST:PORT",
    help="Where to work: on this machine, on all machines of the Ray cluster it belongs to, or "
    "on those of another one.",
)
memory_option = click.option(
    "--memory",
    type=click.Choice(["auto", "low", "high"]),
    help="How a large backbone uses the device's memory: low is slower and takes less.",
)
detach_option = click.option(
    "--detach", is_flag=True, help="Print the job's number and do not wait for it."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, MAX_SEED),
    metavar="S",
    help="Decides every random number; the same seed gives the same result. Default: 0.",
)
