"""An id that no option could name."""

from diffinv.contracts import CaptionerSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_captioners():
    return [CaptionerSpec(id="two words=", title="Two words", factory="bad_id:load")]
