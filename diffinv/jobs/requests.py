"""Requests: plain values that any front end can make. Nothing here loads a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..contracts import Addition
from ..engines import LOCAL
from ..method.settings import ApplicationSettings, InversionSettings
from ..pictures.formats import SAME
from ..pictures.sizes import KEEP, OFF
from ..running.progress import AppliedImage


@dataclass(frozen=True)
class InvertRequest:
    """Learn one difference from one or more pairs of pictures.

    ``backbone``, ``captioner`` and ``delta_encoder`` are ``ID`` or ``ID=PATH``; None takes the
    first backbone and what its spec names. ``captions``, if given, has one (caption of A, caption
    of A') per pair and replaces the captioner. ``library`` is the library's folder, None the user's
    own. A ``name`` that is taken is refused, or numbered with ``free_name``. ``memory`` is
    ``auto``, ``low`` or ``high``: how a large backbone uses the device's memory; None leaves it to
    the environment. ``additions`` are what is added to the backbone's checkpoint.
    """

    pairs: tuple[tuple[Path, Path], ...]
    name: str | None = None
    backbone: str | None = None
    captioner: str | None = None
    delta_encoder: str | None = None
    captions: tuple[tuple[str, str], ...] = ()
    settings: InversionSettings = field(default_factory=InversionSettings)
    device: str | None = None
    memory: str | None = None
    library: Path | None = None
    free_name: bool = False
    tags: tuple[str, ...] = ()
    additions: tuple[Addition, ...] = ()


@dataclass(frozen=True)
class InvertManyRequest:
    """Learn a difference from each of ``requests``, which share model and settings: ``batch`` of
    them in one batch of the denoiser, on the machines that ``on`` says. What the library has is
    left out. ``title`` is what people call them."""

    requests: tuple[InvertRequest, ...]
    batch: int = 1
    on: str = LOCAL
    title: str = ""

    @property
    def device(self) -> str | None:
        """Where they are learned, as each of them says."""
        return self.requests[0].device if self.requests else None


@dataclass(frozen=True)
class ApplyRequest:
    """Apply differences, each with a strength, to pictures and folders of pictures.

    A difference is given by its name in the library or the path of its file. ``prompt_b`` describes
    every B; without it a ``.txt`` beside a picture does, else the captioner. Results go under
    ``out``; an existing one is kept and the new one numbered, unless ``replace``. ``size`` and
    ``format`` are those of :mod:`diffinv.pictures.sizes` and :mod:`diffinv.pictures.formats`;
    ``strip`` leaves out what the file says of camera, time and place, ``provenance`` says in it
    how it was made. ``mask`` is a picture, or a folder with one for each B, white where B may
    change; with ``save_masks`` the masks that were used go into ``out``'s folder ``masks``.
    ``results`` are made of each B, with the seeds from the settings' own upwards, and are then
    named after them. ``fill`` computes ``batch`` pictures at once even if there are fewer, by
    repeating the last: a result's last bits depend on that number. ``detail`` is one of
    :data:`diffinv.pictures.sizes.DETAILS`. With ``sweep`` each B is made at several strengths: all
    of them multiplied by each of these numbers, with a folder of ``out`` for each. ``on`` says
    which machines work, as in :func:`diffinv.engines.engine_of`. ``additions`` say where those of
    the differences are, if they are not where they were. ``mirrors`` are folders that are
    copies of what is elsewhere, with its addresses: results in one are sent there.
    """

    differences: tuple[tuple[str, float], ...]
    images: tuple[Path, ...]
    out: Path
    backbone: str | None = None
    captioner: str | None = None
    prompt_b: str | None = None
    settings: ApplicationSettings = field(default_factory=ApplicationSettings)
    device: str | None = None
    memory: str | None = None
    library: Path | None = None
    batch: int = 8
    replace: bool = False
    size: str = KEEP
    format: str = SAME
    quality: int = 95
    strip: bool = False
    provenance: bool = True
    mask: Path | None = None
    save_masks: bool = False
    results: int = 1
    fill: bool = False
    detail: str = OFF
    sweep: tuple[float, ...] = ()
    on: str = LOCAL
    additions: tuple[Addition, ...] = ()
    mirrors: tuple[tuple[Path, str], ...] = ()


NETWORK = "network"
"""What stands for a device in jobs that fetch, so that they have a worker of their own."""


@dataclass(frozen=True)
class FetchRequest:
    """Fetch models: hub ids, or ``KIND:ID`` of parts that fetch theirs themselves. ``title`` is
    what people call them."""

    models: tuple[str, ...]
    title: str = ""
    device: str = NETWORK


Request = InvertRequest | InvertManyRequest | ApplyRequest | FetchRequest


@dataclass(frozen=True)
class ApplicationReport:
    """What became of every B. ``failures`` has one sentence for each that failed; ``skipped``
    counts the outputs that an earlier run had made."""

    outputs: tuple[AppliedImage, ...] = ()
    failures: tuple[str, ...] = ()
    skipped: int = 0
