"""Made for a later version of the plugin interface."""

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [BackboneSpec(id="future", title="Future", factory="future_api:load", api_version=99)]
