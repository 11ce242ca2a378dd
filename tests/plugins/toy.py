"""A whole backbone that takes no time: its parts are a few lines of arithmetic."""

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    return [
        BackboneSpec(
            id="toy",
            title="Toy",
            factory="toy_model:Toy",
            captioner="toy",
            delta_encoder="toy",
        ),
        BackboneSpec(id="toy2", title="Another", factory="toy_model:Another"),
    ]


@hookimpl
def register_captioners():
    return [CaptionerSpec(id="toy", title="Toy", factory="toy_model:ToyCaptioner")]


@hookimpl
def register_delta_encoders():
    return [
        DeltaEncoderSpec(id="toy", title="Toy", factory="toy_model:ToyEncoder"),
        DeltaEncoderSpec(id="elsewhere", title="Elsewhere", factory="toy_model:Elsewhere"),
    ]
