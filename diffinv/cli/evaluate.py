"""``diffinv evaluate``: a group that plugins fill."""

from __future__ import annotations

import click

from .extensible import ExtensibleGroup


@click.group(cls=ExtensibleGroup)
def evaluate() -> None:
    """The paper's tables and analogies with known truth."""
