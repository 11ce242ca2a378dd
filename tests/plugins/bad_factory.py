"""A factory that is not written module:callable."""

from diffinv.contracts import CaptionerSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_captioners():
    return [CaptionerSpec(id="no-factory", title="No factory", factory="bad_factory.load")]
