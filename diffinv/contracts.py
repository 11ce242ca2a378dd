"""What plugins promise: light specs that describe a part, protocols that the part fulfils.

Nothing here imports torch. All tensors are batch first and float32 at these borders; a part may
compute in any dtype within.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

    from .method.conditioning import Conditioning
    from .method.editors import Trajectory

API_VERSION = 1
"""The version of these contracts. A spec made for a later one is refused, with the reason."""

PredictionType = Literal["epsilon", "v_prediction"]
TokenSpace = Literal["additive", "input", "output"]


@dataclass(frozen=True)
class Spec:
    """What is known of a part without loading it.

    ``factory`` is ``"module:callable"``; it is imported in the process that runs the model and
    called as ``factory(weights, device)``: ``weights`` is the path or hub id the user gave
    (``ID=PATH``) or None for the part's own default, ``device`` a torch device name.
    """

    id: str
    title: str
    factory: str
    description: str = ""
    api_version: int = API_VERSION
    licence: str = ""
    size_mb: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """What a backbone is going to be loaded for.

    ``weights`` and ``device`` are what its factory will get; ``memory`` is ``auto``, ``low`` or
    ``high``, None for what the environment says. It learns a difference (``learning``), or makes
    ``pictures`` at once.
    """

    weights: str | None
    device: str
    memory: str | None = None
    learning: bool = False
    pictures: int = 1


@dataclass(frozen=True)
class BackboneSpec(Spec):
    """A text-to-image model. ``captioner`` and ``delta_encoder`` are the ids that suit it.

    ``embedding_layout`` are the tensor names, and their widths, of the textual-inversion file that
    other programs read for this model, in the order in which they make up ``token_width``; empty
    where there is no such file.

    ``preflight`` (``"module:callable"``, optional) is called as ``preflight(use) -> list[str]``
    before the model is loaded, by front ends too: it imports no torch. It raises DiffinvError for
    what would go wrong later, and gives notes for the user, such as the expected peak memory.
    """

    captioner: str | None = None
    delta_encoder: str | None = None
    embedding_layout: Mapping[str, int] = field(default_factory=dict)
    preflight: str | None = None


@dataclass(frozen=True)
class CaptionerSpec(Spec):
    """A model that describes pictures."""


@dataclass(frozen=True)
class DeltaEncoderSpec(Spec):
    """A joint space of pictures and texts."""


@dataclass(frozen=True)
class EditorSpec(Spec):
    """A way to find B's noise. Its factory takes no arguments: ``factory() -> Editor``."""


class Backbone(Protocol):
    """A text-to-image latent diffusion model with frozen weights.

    ``weights_id`` names the exact weights (a content hash); a difference is bound to it.
    ``resolution`` is the side of its pictures in pixels, ``alphas_cumprod`` the [T] float32
    noise schedule, ``token_budget`` the length of the longest prompt in tokens, start and end
    apart, ``joint_space`` the id of the space :meth:`project_tokens` maps to.
    """

    id: str
    weights_id: str
    resolution: int
    device: torch.device
    alphas_cumprod: Tensor
    prediction_type: PredictionType
    token_budget: int
    token_width: int
    joint_space: str

    def timesteps(self, steps: int) -> list[int]:
        """The timesteps of a sampling run, descending, as the model's own scheduler spaces them."""

    def encode_images(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in [-1, 1] to latents [n, c, h', w']; no randomness."""

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures [n, 3, h, w] in [-1, 1]."""

    def encode_prompts(self, prompts: Sequence[str]) -> Conditioning:
        """What the denoiser attends to, one row a prompt. No gradient is kept."""

    def count_tokens(self, prompt: str) -> int:
        """How many of ``token_budget`` a prompt takes."""

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser: epsilon or v (``prediction_type``) for noisy latents [n, c, h', w'] at
        timesteps [n] (int64). Differentiable in the conditioning."""

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """Vectors of the text encoder's output space [n, ``token_width``] to the joint space
        [n, d]. Differentiable."""


class Captioner(Protocol):
    """Describes pictures."""

    id: str

    def caption(self, images: Sequence[Image]) -> list[str]:
        """One sentence a picture (RGB, any size). The same picture gives the same sentence."""


class DeltaEncoder(Protocol):
    """The joint space of pictures and texts: E_I and E_T of the paper.

    ``space`` is the joint space's id; it has to equal the backbone's ``joint_space``. An encoder of
    pictures alone has ``reads_texts = False`` and an ``encode_texts`` that raises UsageError; its
    deltas are those of the pictures.
    """

    id: str
    space: str

    def encode_images(self, images: Sequence[Image]) -> Tensor:
        """E_I: [n, d] float32."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """E_T: [n, d] float32."""


class Editor(Protocol):
    """Finds the noise that B starts from."""

    def trajectory(
        self,
        backbone: Backbone,
        latents: Tensor,
        source: Conditioning,
        empty: Conditioning,
        steps: int,
        guidance_scale: float,
        seed: int,
    ) -> Trajectory:
        """B's noisy latents at every timestep, from the noisiest down to B itself."""
