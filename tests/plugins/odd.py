"""Parts that answer what they must not: ``odd=FAULT`` says what."""

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones():
    spec = BackboneSpec(
        id="odd",
        title="Odd",
        factory="odd_model:OddBackbone",
        captioner="toy",
        delta_encoder="toy",
    )
    return [spec]


@hookimpl
def register_captioners():
    return [CaptionerSpec(id="odd", title="Odd", factory="odd_model:OddCaptioner")]


@hookimpl
def register_delta_encoders():
    return [DeltaEncoderSpec(id="odd", title="Odd", factory="odd_model:OddEncoder")]
