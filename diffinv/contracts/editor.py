"""How the noise of B is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from .backbone import Backbone
    from .conditioning import Conditioning
    from .schedule import Timestep


@dataclass(frozen=True)
class Trajectory:
    """B's path out of noise. ``samples`` [s + 1, n, c, h, w] are its latents at ``timesteps``
    (s of them, descending) and, last, without noise. ``corrections`` [s, n, c, h, w] are added
    after each step; with them the steps are DDPM's (eta 1), without them DDIM's.
    """

    timesteps: Sequence[Timestep]
    samples: Tensor
    corrections: Tensor | None = None


class Editor(Protocol):
    """Finds the noise B starts from."""

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
