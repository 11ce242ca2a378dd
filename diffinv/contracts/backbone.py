"""A text-to-image model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .conditioning import Conditioning

PredictionType = Literal["epsilon", "v_prediction"]


class Backbone(Protocol):
    """A text-to-image latent diffusion model with frozen weights.

    ``weights_id`` names the exact weights (a content hash); a difference is bound to it.
    ``resolution`` is the side of its square pictures in pixels. With a ``size_multiple`` it takes
    pictures of other shapes too, of about as many pixels, whose sides are multiples of it; None
    means squares of ``resolution`` alone. One that knows whole scenes alone may say so by
    ``knows_parts`` False: its results are then not made anew in tiles. ``alphas_cumprod`` is the
    [T] float32 noise schedule, ``token_budget`` the length of the longest prompt in tokens, not
    counting start and end, ``joint_space`` the id of the space :meth:`project_tokens` maps to.
    """

    id: str
    weights_id: str
    resolution: int
    size_multiple: int | None
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
        """What the denoiser attends to, one row per prompt. No gradient is kept."""

    def count_tokens(self, prompt: str) -> int:
        """How much of ``token_budget`` a prompt takes."""

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser: epsilon or v (``prediction_type``) for noisy latents [n, c, h', w'] at
        timesteps [n] (int64). Differentiable in the conditioning."""

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """Vectors in the text encoder's output space [n, ``token_width``] to the joint space
        [n, d]. Differentiable."""
