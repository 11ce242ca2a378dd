"""How a model's path leads from latents to noise: z_t = a_t x_0 + s_t eps.

Everything that the method does with noise follows from a, s, and what the network predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Timestep: TypeAlias = int | float

CLEAN = -1
"""The timestep that stands for no noise: a is 1 there, and s is 0."""


@dataclass(frozen=True)
class Level:
    """Places on a path, one for each row: ``a`` and ``s`` [n, 1, 1, 1], their squares, and the sum
    of these, which is 1 for models that preserve variance."""

    a: Tensor
    s: Tensor
    a2: Tensor
    s2: Tensor
    total: Tensor


class Schedule(Protocol):
    """A path. Timesteps grow with the noise; their type is the path's own."""

    def at(self, timesteps: Tensor) -> Level:
        """The places of timesteps [n], any of which may be :data:`CLEAN`."""

    def timestep(self, share: float) -> Timestep:
        """The timestep at a share, in [0, 1), of the way from clean to noise."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Random timesteps [count] on the CPU, as the model may be trained on them."""

    def refused(self, timesteps: Sequence[Timestep]) -> str | None:
        """What is wrong with the timesteps of a sampling run, in words; None if nothing is."""


@dataclass(frozen=True)
class VariancePreserving:
    """DDPM's path: a^2 is ``alphas_cumprod`` [T] float32, s^2 is 1 - a^2. Timesteps are whole
    numbers from 0 to T - 1."""

    alphas_cumprod: Tensor

    def at(self, timesteps: Tensor) -> Level:
        """See :class:`Schedule`."""
        import torch

        picked = self.alphas_cumprod[timesteps.clamp_min(0)]
        one = torch.ones_like(picked)
        a2 = torch.where(timesteps < 0, one, picked)[:, None, None, None]
        s2 = 1 - a2
        return Level(a2.sqrt(), s2.sqrt(), a2, s2, torch.ones_like(a2))

    def timestep(self, share: float) -> int:
        """See :class:`Schedule`."""
        return int(share * len(self.alphas_cumprod))

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniform over all timesteps."""
        import torch

        return torch.randint(0, len(self.alphas_cumprod), (count,), generator=generator)

    def refused(self, timesteps: Sequence[Timestep]) -> str | None:
        """See :class:`Schedule`."""
        if not all(type(t) is int for t in timesteps):
            return f"{timesteps} has more than ints"
        last = len(self.alphas_cumprod) - 1
        inside = all(0 <= t <= last for t in timesteps)
        return None if inside else f"{timesteps} leaves 0 to {last}"


@dataclass(frozen=True)
class RectifiedFlow:
    """The straight path: a = 1 - t, s = t, for t in (0, 1]. ``shift`` above 1 puts more of the
    steps, and of the random draws, where there is much noise, as large pictures need it."""

    shift: float = 1.0

    def at(self, timesteps: Tensor) -> Level:
        """See :class:`Schedule`."""
        s = timesteps.clamp_min(0).float()[:, None, None, None]
        a = 1 - s
        return Level(a, s, a * a, s * s, a * a + s * s)

    def timestep(self, share: float) -> float:
        """See :class:`Schedule`."""
        return self.shift * share / (1 + (self.shift - 1) * share)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Uniform before the shift; never quite clean."""
        import torch

        share = 1 - torch.rand(count, generator=generator)
        return self.shift * share / (1 + (self.shift - 1) * share)

    def refused(self, timesteps: Sequence[Timestep]) -> str | None:
        """See :class:`Schedule`."""
        if not all(type(t) is float for t in timesteps):
            return f"{timesteps} has more than floats"
        inside = all(0 < t <= 1 for t in timesteps)
        return None if inside else f"{timesteps} leaves 0 to 1"
