"""An id that another plugin has taken."""

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [
        BackboneSpec(id="fresh", title="Fresh", factory="rival:load"),
        BackboneSpec(id="good", title="Impostor", factory="rival:load"),
    ]
