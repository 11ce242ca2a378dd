"""Gives a spec whose fields have the wrong types."""

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [BackboneSpec(id="odd", title="Odd", factory="bad_fields:load", captioner=5)]
