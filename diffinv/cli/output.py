"""Prints data to stdout and all else to stderr, text from files and plugins as plain text."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..system.streams import pointed, replaced
from ..system.text import text_safe

if TYPE_CHECKING:
    from ..jobs.job import Job


def say(text: str = "") -> None:
    """A line of data on stdout; leading blanks are kept."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    click.echo(indent + text_safe(text))


def complain(text: str) -> None:
    """A line on stderr."""
    click.echo(text_safe(text), err=True)


def print_json(value: Any) -> None:
    """JSON on stdout, with control and non-ASCII characters escaped."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_job(
    job: Job, as_json: bool, warnings: Sequence[str] = (), unsuited: Sequence[str] = ()
) -> None:
    """The number of a job that goes on by itself on stdout, and its warnings on stderr; those
    ``unsuited`` have been said there before."""
    for warning in warnings:
        complain(f"Warning: {warning}")
    if as_json:
        print_json({"job": job.id, "warnings": [*unsuited, *warnings]})
    else:
        say(str(job.id))
    complain(f"'diffinv jobs watch {job.id}' shows how it goes.")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], cut: bool = False) -> None:
    """A table on stdout, as wide as the terminal; never shortened if stdout is a file.

    A cell too wide for the terminal is wrapped, or ``cut``.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(Text(header, style="bold"))
    for row in rows:
        cells = (Text(text_safe(c), no_wrap=cut or None, overflow="ellipsis") for c in row)
        table.add_row(*cells)
    width = None if sys.stdout.isatty() else 100_000
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def print_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Names and values, one pair per line."""
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        click.echo(f"{name:<{width}}  {text_safe(value)}".rstrip())


@contextlib.contextmanager
def stdout_for_data() -> Iterator[None]:
    """Send whatever libraries print inside the block to stderr, so that stdout holds only data."""
    with replaced(("stdout", "__stdout__"), sys.stderr), pointed(1, 2):
        yield
