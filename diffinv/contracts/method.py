"""Ways to complete analogies, to be compared with difference inversion, and what they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

    from .backbone import Backbone
    from .delta_encoder import DeltaEncoder
    from .editor import Editor


@dataclass(frozen=True)
class Triplet:
    """A : A' :: B : ?, with what is said about it.

    The pictures are RGB, of any size. ``instruction`` says the change in words, ``captions`` has
    what is known of the texts ``a``, ``a_prime``, ``b`` and ``b_prime``. ``b_prime`` is the true
    answer, which only floors and ceilings look at; ``facts`` are a world's own.
    """

    id: str
    a: Image
    a_prime: Image
    b: Image
    instruction: str = ""
    captions: Mapping[str, str] = field(default_factory=dict)
    b_prime: Image | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A latent diffusion model by diffusers' and transformers' own classes, on one device: for
    methods whose denoiser sees more than noisy latents."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any


class Bench(Protocol):
    """What the methods of a comparison share; each part is loaded when it is first asked for.

    ``backbone``, ``delta_encoder`` and :meth:`caption` are those of difference inversion.
    """

    @property
    def device(self) -> str:
        """The torch device of every part."""

    @property
    def backbone(self) -> Backbone:
        """The text-to-image model."""

    @property
    def delta_encoder(self) -> DeltaEncoder:
        """The joint space."""

    def editor(self, id: str) -> Editor:
        """A way to find B's noise."""

    def caption(self, image: Image) -> str:
        """The captioner's words for a picture."""

    def ask(self, content: Sequence[str | Image]) -> str | None:
        """The captioner's answer to texts and pictures, in their order; None if it is none that
        can be asked (:class:`~diffinv.contracts.captioner.Conversant`)."""

    def companion(self, kind: str) -> Network | None:
        """The backbone's relative of a kind (``instruct-pix2pix``, ``inpainting``), if it names
        one."""

    def count(self, network: Network) -> None:
        """Count what a network's denoiser computes from now on."""


class Method(Protocol):
    """Completes analogies. Raises DiffinvError if it cannot complete one."""

    def complete(self, triplet: Triplet, seed: int) -> Image:
        """B', an RGB picture. The same triplet and seed give the same picture, whatever was
        completed before."""


@runtime_checkable
class ManyAtOnce(Protocol):
    """What a method may offer besides: to complete several triplets in one batch of its model. Its
    spec says ``many``."""

    def complete_many(self, triplets: Sequence[Triplet], seed: int) -> Sequence[Image]:
        """What ``complete`` gives for each triplet, up to the rounding of another batch. The same
        triplets together give the same pictures."""


class World(Protocol):
    """Makes analogies whose answers are known. ``cases`` are those of its spec."""

    cases: Sequence[str]

    def triplets(self, count: int, seed: int, case: str) -> Sequence[Triplet]:
        """``count`` analogies of a case, the same ones for a seed."""

    def judge(self, triplet: Triplet, answers: Sequence[Image]) -> list[Mapping[str, float]]:
        """Scores in [0, 1] for each answer to one of its triplets; ``right`` is among them."""
