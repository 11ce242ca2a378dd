"""Options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..method.settings import MAX_SEED

if TYPE_CHECKING:
    from ..contracts import Addition

Command = TypeVar("Command", bound=Callable[..., Any])

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
_ADDITIONS = (
    click.option("--vae", type=PATH, metavar="PATH", help="Its autoencoder, if not its own."),
    click.option(
        "--text-encoder",
        "text_encoders",
        type=PATH,
        multiple=True,
        metavar="PATH",
        help="Its text encoder, if not its own; once for each that is to be replaced.",
    ),
    click.option(
        "--lora",
        "loras",
        multiple=True,
        metavar="PATH[:WEIGHT]",
        help="A LoRA to change it with; may be given again.",
    ),
)


def addition_options(command: Command) -> Command:
    """What is added to the backbone; :func:`take_additions` reads it."""
    for option in reversed(_ADDITIONS):
        command = option(command)
    return command


def take_additions(options: dict[str, Any]) -> tuple[Addition, ...]:
    """Take the values of :func:`addition_options` out of a command's."""
    from ..running.additions import named_additions

    return named_additions(*(options.pop(name) for name in ("vae", "text_encoders", "loras")))


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
