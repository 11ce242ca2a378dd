"""What plugins promise and see: light specs that describe a part, protocols that the part fulfils,
and the values that go between them.

Nothing here imports torch or anything else of diffinv's. All tensors are batch first and float32
at these borders; a part may compute in any dtype within.
"""

from .backbone import Backbone, PredictionType
from .captioner import Captioner
from .conditioning import Conditioning, DiffTokens, Reencode, TokenSpace, concatenate
from .delta_encoder import DeltaEncoder
from .editor import Editor, Trajectory
from .specs import (
    API_VERSION,
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    Kind,
    Spec,
    Use,
)

__all__ = [
    "API_VERSION",
    "Backbone",
    "BackboneSpec",
    "Captioner",
    "CaptionerSpec",
    "Conditioning",
    "DeltaEncoder",
    "DeltaEncoderSpec",
    "DiffTokens",
    "Editor",
    "EditorSpec",
    "Kind",
    "PredictionType",
    "Reencode",
    "Spec",
    "TokenSpace",
    "Trajectory",
    "Use",
    "concatenate",
]
