"""A hook that wants an argument it will never get."""

from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones(surprise):
    return []
