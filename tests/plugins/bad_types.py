"""Gives a spec of another kind."""

from diffinv.contracts import EditorSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [EditorSpec(id="an-editor", title="An editor", factory="bad_types:load")]
