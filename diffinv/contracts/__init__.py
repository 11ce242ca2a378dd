"""The plugin interface: light specs that describe a part, protocols that the part fulfils, and the
values passed between them.

Nothing here imports torch or any other module of diffinv. All tensors at these boundaries are
batch first and float32; internally a part may compute in any dtype.
"""

from .backbone import Backbone, PredictionType
from .captioner import Captioner, Conversant
from .conditioning import (
    POOLED,
    Conditioning,
    DiffTokens,
    Reencode,
    TokenSpace,
    concatenate,
)
from .delta_encoder import DeltaEncoder
from .editor import Editor, Trajectory
from .method import Bench, ManyAtOnce, Method, Network, Triplet, World
from .schedule import CLEAN, Level, RectifiedFlow, Schedule, Timestep, VariancePreserving
from .specs import (
    API_VERSION,
    Addition,
    AdditionKind,
    BackboneSpec,
    CaptionerSpec,
    DeltaEncoderSpec,
    EditorSpec,
    Glimpse,
    Kind,
    MethodSpec,
    Spec,
    Use,
    WorldSpec,
)

__all__ = [
    "API_VERSION",
    "Addition",
    "AdditionKind",
    "Backbone",
    "Bench",
    "BackboneSpec",
    "CLEAN",
    "Captioner",
    "CaptionerSpec",
    "Conditioning",
    "Conversant",
    "DeltaEncoder",
    "DeltaEncoderSpec",
    "DiffTokens",
    "Editor",
    "EditorSpec",
    "Glimpse",
    "Kind",
    "Level",
    "ManyAtOnce",
    "Method",
    "MethodSpec",
    "Network",
    "POOLED",
    "PredictionType",
    "RectifiedFlow",
    "Reencode",
    "Schedule",
    "Spec",
    "Timestep",
    "TokenSpace",
    "Trajectory",
    "Triplet",
    "Use",
    "VariancePreserving",
    "World",
    "WorldSpec",
    "concatenate",
]
