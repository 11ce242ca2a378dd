"""Groups that plugins add commands to."""

from __future__ import annotations

import click


class ExtensibleGroup(click.Group):
    """Asks plugins for their commands only for help, or for a name that is not our own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own commands and those of the plugins."""
        _ask_plugins(ctx)
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A command by its name."""
        if name not in self.commands:
            _ask_plugins(ctx)
        return super().get_command(ctx, name)


def _ask_plugins(ctx: click.Context) -> None:
    from ..plugins.loading import registry

    root = ctx.find_root().command
    if isinstance(root, ExtensibleGroup):
        registry().register_commands(root)
