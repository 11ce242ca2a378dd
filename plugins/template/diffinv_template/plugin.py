"""What the plugin registers. Imports nothing heavy: factories are imported when used."""

from diffinv.contracts import BackboneSpec, CaptionerSpec, DeltaEncoderSpec
from diffinv.hookspecs import hookimpl


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """``captioner`` and ``delta_encoder`` are the ids used with it if none are named."""
    about = {"description": "A network of a few numbers, to copy.", "licence": "Apache-2.0"}
    ids = {"id": "template", "captioner": "template", "delta_encoder": "template"}
    return [BackboneSpec(title="Template", factory="diffinv_template.model:Model", **ids, **about)]


@hookimpl
def register_captioners() -> list[CaptionerSpec]:
    """Most backbones leave this out and name an existing captioner, such as ``blip2``."""
    return [CaptionerSpec("template", "Template captioner", "diffinv_template.parts:Captioner")]


@hookimpl
def register_delta_encoders() -> list[DeltaEncoderSpec]:
    """Most leave this out too: a backbone with CLIP's text tower already has its encoder."""
    return [DeltaEncoderSpec("template", "Template encoder", "diffinv_template.parts:Encoder")]
