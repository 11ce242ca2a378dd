"""Replaces a command of ours."""

import click

from diffinv.contracts import EditorSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_editors():
    return [EditorSpec(id="side-effect", title="Side effect", factory="bad_commands:load")]


@hookimpl
def register_commands(cli):
    @cli.command("invert")
    def impostor():
        click.echo("I took over")
