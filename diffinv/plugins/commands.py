"""The commands of plugins: what they add to ``diffinv``, and how it is found when called."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import click
import pluggy

from ..errors import DiffinvError
from ..system.text import text_safe
from .checking import COMMANDS_HOOK, BrokenPluginError, check_commands, describe
from .hooks import call, heard, new_manager
from .rows import PluginRow, key_of

_NAME = re.compile(r"[\w.-]{1,60}")
_SHORT = 80


class ForeignCommand(click.Command):
    """A command known by its name and a line of help; its plugin is imported when it is called."""

    def __init__(self, name: str, help: str, find: Callable[[], click.Command]) -> None:
        super().__init__(name, help=help, short_help=help)
        self._find = find

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the plugin's own command."""
        return self._find().make_context(info_name, args, parent, **extra)


def added_commands(
    manager: pluggy.PluginManager, row: PluginRow, cli: click.Group
) -> tuple[PluginRow, list[tuple[str, str]]]:
    """What a loaded plugin adds to a copy of ``cli``: each command's path (``"evaluate mine"``) and
    line of help. The row is broken if one replaces another command."""
    if COMMANDS_HOOK not in row.hooks:
        return row, []
    grown = copied(cli)
    with heard(row):
        try:
            call(manager, key_of(row), COMMANDS_HOOK, cli=grown)
            return row, list(_new(cli, grown))
        except BaseException as error:
            return row.without_commands(describe(error)), []


def add_foreign_commands(row: PluginRow, entry: metadata.EntryPoint, cli: click.Group) -> PluginRow:
    """Add a plugin's commands by their names alone; the row is broken if one of them is taken."""
    before = copied(cli)
    for path, help in row.commands:
        *groups, name = path.split(" ")
        group = _group(cli, groups)
        if group is None or name in group.commands:
            _restore(cli, before)
            return row.without_commands(f"the command {path!r} exists already")

        def find(path: str = path) -> click.Command:
            return _loaded(row, entry, before, path)

        group.add_command(ForeignCommand(name, help, find))
    return row


def _loaded(
    row: PluginRow, entry: metadata.EntryPoint, cli: click.Group, path: str
) -> click.Command:
    grown = copied(cli)
    with heard(row):
        try:
            manager = new_manager()
            manager.register(entry.load(), key_of(row))
            call(manager, key_of(row), COMMANDS_HOOK, cli=grown)
            *groups, name = path.split(" ")
            group = _group(grown, groups)
            return group.commands[name]  # type: ignore[union-attr]
        except BaseException as error:
            raise DiffinvError(
                f"The command {path!r} of the plugin {row.name!r} cannot be loaded: "
                f"{describe(error)}."
            ) from error


def copied(cli: click.Group) -> click.Group:
    """The same commands in groups of their own."""
    group = copy.copy(cli)
    group.commands = {
        name: copied(command) if isinstance(command, click.Group) else command
        for name, command in cli.commands.items()
    }
    return group


def _restore(cli: click.Group, before: click.Group) -> None:
    for name, command in cli.commands.items():
        old = before.commands.get(name)
        if isinstance(command, click.Group) and isinstance(old, click.Group):
            _restore(command, old)
    cli.commands = {name: c for name, c in cli.commands.items() if name in before.commands}


def _group(cli: click.Group, path: list[str]) -> click.Group | None:
    group: click.Command | None = cli
    for name in path:
        group = group.commands.get(name) if isinstance(group, click.Group) else None
    return group if isinstance(group, click.Group) else None


def _new(before: click.Group, after: click.Group, path: str = "") -> Iterator[tuple[str, str]]:
    """The commands that have come, with their help. Raises BrokenPluginError for one replaced."""
    groups = {n: c for n, c in before.commands.items() if isinstance(c, click.Group)}
    plain = {n: c for n, c in before.commands.items() if n not in groups}
    check_commands({n: c for n, c in after.commands.items() if n not in groups}, plain)
    for name, command in after.commands.items():
        if name in groups:
            is_same = getattr(command, "callback", None) is groups[name].callback
            if not isinstance(command, click.Group) or not is_same:
                raise BrokenPluginError(f"the command {path + name!r} exists already")
            yield from _new(groups[name], command, f"{path}{name} ")
        elif name not in plain:
            if not _NAME.fullmatch(name):
                raise BrokenPluginError(f"{text_safe(name)[:_SHORT]!r} is not a command's name")
            yield path + name, text_safe(command.get_short_help_str(_SHORT))[:_SHORT]
