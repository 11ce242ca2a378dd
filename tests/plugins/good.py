"""A plugin as it should be."""

import click

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [BackboneSpec(id="good", title="Good", factory="good:load", description="Works.")]


@hookimpl
def register_commands(cli):
    @cli.command()
    def hello():
        """Say hello."""
        click.echo("hello from a plugin")


class Good(str):
    schedule = None


def load(weights, device):
    return Good(f"good {weights} {device}")
