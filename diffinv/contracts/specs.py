"""Light specs: what is known about a part without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from PIL.Image import Image

Kind = Literal["backbone", "captioner", "delta encoder", "editor", "method", "world"]
"""The kinds of parts a plugin can bring, in the words shown to users."""

AdditionKind = Literal["vae", "text_encoder", "lora"]
"""What can be added to a backbone's checkpoint."""

API_VERSION = 2
"""The version of these contracts. A spec for a later one is refused, with the reason."""


@dataclass(frozen=True)
class Spec:
    """What is known about a part without loading it.

    ``factory`` is ``"module:callable"``; it is imported in the process that runs the model and
    called as ``factory(weights, device)``: ``weights`` is the path or hub id the user gave
    (``ID=PATH``) or None for the part's own default, ``device`` a torch device name.

    ``description`` is for those who know models; ``purpose`` says in one sentence, to a
    photographer, what the part is for. ``size_mb`` and ``licence`` are those of the weights.

    Weights that do not come with the plugin can be fetched by front ends, in a job: those at the
    hub if ``defaults["model"]`` is a hub id (``OWNER/NAME``), others by ``fetch``
    (``"module:callable"``), which is called as ``fetch(folder, report)`` in a worker. It fills the
    folder, where it finds what an earlier call left that was interrupted, and calls
    ``report(done, total)``, in bytes, as it goes on: that raises to end it. The factory then finds
    the folder by :func:`diffinv.system.local_models.fetched_folder`.
    """

    id: str
    title: str
    factory: str
    description: str = ""
    api_version: int = API_VERSION
    licence: str = ""
    size_mb: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict)
    purpose: str = ""
    fetch: str | None = None


@dataclass(frozen=True)
class Addition:
    """What a user adds to a backbone's checkpoint; ``path`` is a file or a folder that exists.

    A ``vae`` or ``text_encoder`` takes the place of the checkpoint's own, or of one that it lacks.
    A ``lora`` changes the weights of the denoiser and the text encoders, ``weight`` times.
    """

    kind: AdditionKind
    path: str
    weight: float = 1.0


@dataclass(frozen=True)
class Use:
    """What a backbone is about to be loaded for.

    ``weights``, ``device`` and ``additions`` are what its factory will get; ``memory`` is ``auto``,
    ``low`` or ``high``, or None to leave it to the environment. The backbone will learn a
    difference (``learning``), with a delta encoder that may bring the ``text_projection``, or make
    ``pictures`` at once.
    """

    weights: str | None
    device: str
    memory: str | None = None
    learning: bool = False
    pictures: int = 1
    text_projection: bool = False
    additions: tuple[Addition, ...] = ()


@dataclass(frozen=True)
class Glimpse:
    """A picture as ``suits`` sees it: its size in pixels, and an RGB ``thumbnail`` of at most 64
    pixels a side."""

    width: int
    height: int
    thumbnail: Image


@dataclass(frozen=True)
class BackboneSpec(Spec):
    """A text-to-image model. ``captioner`` and ``delta_encoder`` are the ids that suit it.

    ``embedding_layout`` gives the tensor names, and their widths, of the textual-inversion file
    that other programs read for this model, in the order in which they make up ``token_width``;
    empty if there is no such file.

    ``preflight`` (``"module:callable"``, optional) is called as ``preflight(use) -> list[str]``
    before the model is loaded, by front ends too, so it must not import torch. It raises
    DiffinvError for anything that would fail later, and returns notes for the user, such as the
    expected peak memory.

    ``resolution`` is the side of the squares it draws, in pixels; 0 if it does not say. ``suits``
    (``"module:callable"``, optional) is called as ``suits(glimpses) -> list[str]`` with a few of
    the pictures (:class:`Glimpse`) before anything starts, by front ends too, so it must not import
    torch. Each text is a sentence that says why the model will make little of them, and what to do;
    none if they suit. It warns, and keeps nobody from going on.

    ``additions`` are the kinds of :class:`Addition` that it takes. If a user names some, its
    factory is called as ``factory(weights, device, additions)``, and its ``weights_id`` is to
    depend on them (:func:`diffinv.system.weights.weights_id` does that).

    ``companions`` maps ``instruct-pix2pix`` or ``inpainting`` to the factory
    (``"module:callable"``) of a relative that methods of comparison use; it is called as
    ``factory(device) -> Network``.
    """

    captioner: str | None = None
    delta_encoder: str | None = None
    embedding_layout: Mapping[str, int] = field(default_factory=dict)
    preflight: str | None = None
    resolution: int = 0
    suits: str | None = None
    companions: Mapping[str, str] = field(default_factory=dict)
    additions: tuple[AdditionKind, ...] = ()


@dataclass(frozen=True)
class CaptionerSpec(Spec):
    """A model that describes pictures."""


@dataclass(frozen=True)
class DeltaEncoderSpec(Spec):
    """A joint space of pictures and texts. ``text_projection`` says that its encoders have one: see
    :class:`diffinv.contracts.DeltaEncoder`."""

    text_projection: bool = False


@dataclass(frozen=True)
class EditorSpec(Spec):
    """A way to find B's noise. Its factory takes no arguments: ``factory() -> Editor``."""


@dataclass(frozen=True)
class MethodSpec(Spec):
    """A way to complete analogies. Its factory is called as
    ``factory(bench, weights, **settings) -> Method``.

    ``settings`` are its numbers with their defaults (bool, int, float or str). ``needs`` names
    what a triplet must have for it: ``instruction``, ``b_prime`` or ``captions.b_prime``.
    ``network`` says in words which checkpoint or server of its own it wants as ``weights``, if it
    does; the backbone's ``companion`` of that kind may stand in for it. ``many`` says that it can
    complete several triplets at once: see :class:`~diffinv.contracts.ManyAtOnce`.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    network: str = ""
    companion: str = ""
    many: bool = False


@dataclass(frozen=True)
class WorldSpec(Spec):
    """A maker of analogies with known answers. Its factory is called as ``factory(device) ->
    World``.

    ``cases`` are the kinds it has, the usual one first. ``tuned`` maps a method's id to the
    settings found best for it there, on other analogies than those of any comparison.
    """

    cases: tuple[str, ...] = ("plain",)
    tuned: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
