"""Made for an earlier version of the plugin interface."""

from diffinv.contracts import BackboneSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [BackboneSpec(id="past", title="Past", factory="past_api:load", api_version=1)]
