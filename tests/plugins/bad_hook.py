"""A hook of it raises."""

from diffinv.contracts import EditorSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_editors():
    return [EditorSpec(id="half", title="Half", factory="bad_hook:load")]


@hookimpl
def register_delta_encoders():
    raise RuntimeError("this hook\nalways fails")
