"""A text-to-image model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .conditioning import Conditioning
    from .schedule import Schedule, Timestep

PredictionType = Literal["epsilon", "v_prediction", "flow", "sample"]
"""What a denoiser predicts of z = a x_0 + s eps: eps, a eps - s x_0, eps - x_0, or x_0."""


class Backbone(Protocol):
    """A text-to-image latent diffusion model with frozen weights.

    ``weights_id`` names the exact weights (a content hash); a difference is bound to it.
    ``resolution`` is the side of its square pictures in pixels. With a ``size_multiple`` it takes
    pictures of other shapes too, of about as many pixels, whose sides are multiples of it; None
    means squares of ``resolution`` alone. One that knows whole scenes alone may say so by
    ``knows_parts`` False: its results are then not made anew in tiles. ``schedule`` is the path
    from latents to noise, ``token_budget`` the length of the longest prompt in tokens, not counting
    start and end, ``joint_space`` the id of the space :meth:`project_tokens` maps to. A model that
    shares no space with pictures has None there, and its differences are learned by token
    consistency alone. One whose checkpoint may lack the text projection can have
    ``take_projection(matrix)``, which is called with the delta encoder's [width, d], if that has
    one, before anything is learned. One that gives a pooled text embedding [n, w] as
    ``extra[POOLED]`` can say so by ``pooled_width`` = w: differences may then move it too.
    """

    id: str
    weights_id: str
    resolution: int
    size_multiple: int | None
    device: torch.device
    schedule: Schedule
    prediction_type: PredictionType
    token_budget: int
    token_width: int
    joint_space: str | None

    def timesteps(self, steps: int) -> Sequence[Timestep]:
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
        """The denoiser: its ``prediction_type`` for noisy latents [n, c, h', w'] at timesteps [n]
        (int64, or float32 if the schedule's are). Differentiable in the conditioning."""

    def project_tokens(self, tokens: Tensor) -> Tensor:
        """Vectors in the text encoder's output space [n, ``token_width``] to the joint space
        [n, d]. Differentiable. Not called if ``joint_space`` is None."""
