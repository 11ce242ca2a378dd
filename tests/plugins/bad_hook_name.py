"""Implements a hook that does not exist."""

from diffinv.hookspecs import hookimpl


@hookimpl
def register_nonsense():
    return []
