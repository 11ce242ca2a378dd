"""Gives a text where a list of specs is due."""

from diffinv.hookspecs import hookimpl


@hookimpl
def register_captioners():
    return "captioner"
