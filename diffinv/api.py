"""The Python API: load a model, learn a difference, apply it.

    import diffinv

    model = diffinv.load("diorama")
    difference = model.invert("a.png", "a2.png")
    b_prime = model.apply(difference, "b.png", strength=0.8)

The job queue's worker takes the same route, through :meth:`Model.learn` and :meth:`Model.editing`,
so both give the same numbers. torch is not imported until a model is loaded.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from .contracts import BackboneSpec, Use
from .difference import Difference
from .difference import load as read_difference
from .errors import UsageError
from .method.settings import (
    ApplicationSettings,
    InversionSettings,
    check_application_settings,
    check_settings,
    inversion_settings,
)
from .pictures.framing import to_model
from .pictures.masks import fitted
from .pictures.photograph import Photograph
from .pictures.reading import read_picture
from .pictures.sizes import TILES, checked_detail, checked_size
from .plugins.loading import registry
from .running.additions import NamedPath, named_additions
from .running.devices import find_device
from .running.editing import Editing, batches
from .running.keeping import Keeper
from .running.learning import Teachers, check_spaces, learn
from .running.lesson import Lesson, read_lesson
from .running.models import Models, choose_device, deterministic
from .running.parts import Part, backbone_part, named_part, suited_part
from .running.progress import APPLYING, Meter, OnProgress
from .running.progress_bar import shown
from .running.prompting import Prompt, Prompting
from .running.remembered_weights import remember_weights
from .storage.names import checked_name
from .storage.store import Library
from .system.paths import given_path, library_folder

if TYPE_CHECKING:
    from PIL.Image import Image

    from .contracts import Backbone, Captioner, DeltaEncoder
    from .pictures.blending import Change
    from .pictures.photograph import Sharpen
    from .pictures.reading import Source
    from .running.detail import Detail

_log = logging.getLogger(__name__)

Applied = Difference | str | os.PathLike[str]
"""A difference, the path of its file, or its name in the user's library."""


def load(
    backbone: str | None = None,
    *,
    captioner: str | None = None,
    delta_encoder: str | None = None,
    vae: NamedPath | None = None,
    text_encoder: NamedPath | Sequence[NamedPath] = (),
    lora: NamedPath | Sequence[NamedPath] = (),
    device: str | None = None,
    memory: str | None = None,
) -> Model:
    """Load a backbone; the captioner and the delta encoder are loaded when needed.

    Each part is given as ``ID`` or ``ID=PATH`` (``"sdxl=PATH"``); the defaults are the first
    installed backbone and what suits it. ``vae`` and ``text_encoder`` are paths of parts that take
    the place of the backbone's own, or that it lacks; ``lora`` is ``"PATH"`` or ``"PATH:WEIGHT"``,
    or several, that change it. ``device`` is a torch device name, by default the best
    available; ``memory`` is ``auto``, ``low`` or ``high``. Raises UsageError for a missing part or
    device, DiffinvError if weights cannot be loaded. The backbone's notes before loading, such as
    the memory it expects to need, go to the logger ``diffinv.api``.
    """
    found = find_device(device)
    _check_memory(memory)
    parts = registry()
    main = backbone_part(
        parts, backbone, named_additions(vae, _several(text_encoder), _several(lora))
    )
    spec = cast(BackboneSpec, main.spec)
    encoder, writer = delta_encoder or spec.delta_encoder, captioner or spec.captioner
    delta_part = named_part(parts, "delta encoder", encoder) if encoder else None
    writer_part = named_part(parts, "captioner", writer) if writer else None
    use = Use(main.weights, found.key, memory, learning=True, additions=main.additions)
    for note in parts.preflight(spec, use):
        _log.info(note)
    models = Models()
    models.use_memory(memory)
    chosen = choose_device(device)
    with deterministic(0, chosen):
        return Model(main, delta_part, writer_part, chosen, models)


def open(path: str | os.PathLike[str]) -> Difference:
    """The difference in a file, with its checksum verified. Raises DiffinvError if the file does
    not exist, is damaged, or is not a difference."""
    return read_difference(given_path(os.fspath(path)))


def library(folder: str | os.PathLike[str] | None = None) -> Library:
    """The user's library of differences, or the one in another folder."""
    return Library(library_folder() if folder is None else given_path(os.fspath(folder)))


class Model:
    """A loaded backbone with the parts that suit it, on one device. Made by :func:`load`."""

    def __init__(
        self,
        backbone: Part,
        delta_encoder: Part | None,
        captioner: Part | None,
        device: str,
        models: Models,
    ) -> None:
        self.device = device
        self._models = models
        self._named = (backbone, delta_encoder, captioner)
        self.backbone: Backbone = models.get(backbone, device)

    def __repr__(self) -> str:
        return f"<diffinv.Model {self.backbone.id!r} on {self.device}>"

    def invert(
        self,
        a: Source | None = None,
        a_prime: Source | None = None,
        *,
        pairs: Sequence[tuple[Source, Source]] = (),
        captions: Sequence[tuple[str, str]] = (),
        name: str | None = None,
        settings: InversionSettings | None = None,
        on_step: OnProgress | None = None,
        progress: bool | None = None,
        **changes: Any,
    ) -> Difference:
        """Learn the difference from A to A′ (Algorithm 1).

        Pictures are paths, Pillow pictures or arrays; ``pairs`` holds further pairs, or all of
        them. ``captions``, one (of A, of A′) per pair, replaces the captioner. ``settings``, or any
        field of :class:`InversionSettings` by name (``preset="paper"``, ``steps=40``, ``seed=7``),
        says how to learn. ``on_step`` receives every event and may raise to stop; ``progress``
        draws a bar, by default in notebooks and terminals.
        """
        given = _checked_pairs([*_first_pair(a, a_prime), *pairs])
        lesson = read_lesson(_name(name, given), given, captions)
        chosen = _inversion_settings(settings, changes)
        self._check_captions(captions)
        with shown(on_step, progress) as events:
            return self.learn([lesson], chosen, _heard(events, [lesson]))[0]

    def invert_many(
        self,
        pairs: Sequence[tuple[Source, Source]],
        *,
        captions: Sequence[tuple[str, str]] = (),
        names: Sequence[str] = (),
        batch: int = 8,
        settings: InversionSettings | None = None,
        on_step: OnProgress | None = None,
        progress: bool | None = None,
        **changes: Any,
    ) -> list[Difference]:
        """Learn one difference from each pair, ``batch`` of them in one batch of the denoiser.

        Faster than one after another; the tokens differ from those of :meth:`invert` only by
        rounding. See there for the arguments.
        """
        lessons = _lessons(_checked_pairs(pairs), captions, names)
        chosen = _inversion_settings(settings, changes)
        self._check_captions(captions)
        with shown(on_step, progress) as events:
            return [
                difference
                for some in _chunks(lessons, batch)
                for difference in self.learn(some, chosen, _heard(events, some))
            ]

    def learn(
        self,
        lessons: Sequence[Lesson],
        settings: InversionSettings,
        meter: Meter,
        keeper: Keeper | None = None,
    ) -> list[Difference]:
        """Learn a difference from each lesson, for :meth:`invert` and every job.

        Lessons and settings have already been checked.
        """
        with deterministic(settings.seed, self.device):
            learned = learn(self._teachers, lessons, settings, meter, keeper or Keeper())
        backbone, delta_encoder, _ = self._teachers.named
        for difference in learned:
            remember_weights(
                difference.info, backbone.weights, backbone.additions, delta_encoder.weights
            )
        return learned

    @overload
    def apply(
        self,
        difference: Applied | Sequence[Applied],
        pictures: Source,
        *,
        strength: float | Sequence[float] = ...,
        prompt: str | Sequence[str] | None = ...,
        mask: Source | Sequence[Source] | None = ...,
        seed: int = ...,
        editor: str = ...,
        num_inference_steps: int = ...,
        guidance_scale: float = ...,
        use_difference_mask: bool = ...,
        mask_grow: float = ...,
        negative_prompt: str = ...,
        reword: bool = ...,
        batch: int = ...,
        size: str | int = ...,
        detail: str = ...,
        on_step: OnProgress | None = ...,
        progress: bool | None = ...,
    ) -> Image: ...

    @overload
    def apply(
        self,
        difference: Applied | Sequence[Applied],
        pictures: list[Source] | tuple[Source, ...],
        *,
        strength: float | Sequence[float] = ...,
        prompt: str | Sequence[str] | None = ...,
        mask: Source | Sequence[Source] | None = ...,
        seed: int = ...,
        editor: str = ...,
        num_inference_steps: int = ...,
        guidance_scale: float = ...,
        use_difference_mask: bool = ...,
        mask_grow: float = ...,
        negative_prompt: str = ...,
        reword: bool = ...,
        batch: int = ...,
        size: str | int = ...,
        detail: str = ...,
        on_step: OnProgress | None = ...,
        progress: bool | None = ...,
    ) -> list[Image]: ...

    def apply(
        self,
        difference: Applied | Sequence[Applied],
        pictures: Source | list[Source] | tuple[Source, ...],
        *,
        strength: float | Sequence[float] = 1.0,
        prompt: str | Sequence[str] | None = None,
        mask: Source | Sequence[Source] | None = None,
        seed: int = 0,
        editor: str = "edit-friendly",
        num_inference_steps: int = 20,
        guidance_scale: float = 2.0,
        use_difference_mask: bool = True,
        mask_grow: float = 8.0,
        negative_prompt: str = "",
        reword: bool = True,
        batch: int = 8,
        size: str | int = "keep",
        detail: str = "off",
        on_step: OnProgress | None = None,
        progress: bool | None = None,
    ) -> Image | list[Image]:
        """B′ for each B: an RGB picture in sRGB for one B, a list for several.

        ``difference`` is one or several, all applied at once; each has its ``strength``, and a
        negative one undoes the difference. ``prompt`` says what B shows, instead of a caption.
        ``mask`` is a picture of B's shape, white where B may change; the difference's own mask is
        grown by ``mask_grow`` percent of the longer side. Guidance leads away from
        ``negative_prompt``. ``reword`` exchanges the prompt's words that contradict the difference.
        ``batch`` pictures are processed at once. With ``size="keep"`` B′ is as large as B, and what
        the difference leaves alone is B's own, bit for bit; a number is its longer side at most;
        ``"model"`` gives the model's own picture. ``detail="tiles"`` makes what has changed anew at
        that size, in tiles.
        """
        several = _is_several(pictures)
        sources = list(cast("Sequence[Source]", pictures)) if several else [pictures]
        settings = ApplicationSettings(
            editor,
            num_inference_steps,
            guidance_scale,
            use_difference_mask,
            seed,
            mask_grow,
            negative_prompt,
            reword,
        )
        check_application_settings(settings)
        pairs = _with_strengths(difference, strength)
        if not sources:
            return []
        with shown(on_step, progress) as events, deterministic(seed, self.device):
            results = self._apply(
                pairs,
                cast("list[Source]", sources),
                prompt,
                mask,
                settings,
                batch,
                checked_size(size),
                checked_detail(detail, size),
                Meter(events),
            )
        return results if several else results[0]

    def _apply(
        self,
        differences: list[tuple[Difference, float]],
        sources: list[Source],
        prompt: str | Sequence[str] | None,
        mask: Source | Sequence[Source] | None,
        settings: ApplicationSettings,
        batch: int,
        size: str | int,
        detail: str,
        meter: Meter,
    ) -> list[Image]:
        editor = named_part(registry(), "editor", settings.editor)
        if batch < 1:
            raise UsageError(f"A batch holds at least one picture, not {batch}.")
        editing, prompting = self.editing(differences, editor, settings, meter)
        sharpener = editing.detail if detail == TILES else None
        prompts = _per_picture(prompt, len(sources), "prompt")
        for text in filter(None, prompts):
            prompting.check(text)
        if None in prompts and not prompting.can_make:
            raise UsageError(
                f"The backbone {self.backbone.id!r} names no captioner; say what the pictures show "
                "with prompt=, or name one in load(captioner=)."
            )
        pictures = [read_picture(source, "B") for source in sources]
        masks = _masks(mask, pictures)
        seen = [editing.seen(picture) for picture in pictures]
        sizes = [image.size for image in seen]
        chunks = batches(sizes, sizes, batch)
        meter.phase(APPLYING, len(chunks) * settings.steps)
        results: dict[int, Image] = {}
        for done, (rows, at_once) in enumerate(chunks):
            changes, said = editing.apply(
                done,
                [seen[i] for i in rows],
                [prompts[i] for i in rows],
                prompting,
                at_once,
                [to_model(masks[i], sizes[i]) for i in rows] if masks else None,
            )
            for i, change, prompt_b in zip(rows, changes, said, strict=True):
                sharpen = _sharpen(sharpener, seen[i], prompt_b) if sharpener else None
                mask_of = masks[i] if masks else None
                results[i] = _sized(pictures[i], change, size, mask_of, sharpen)
        return [results[i] for i in range(len(pictures))]

    def editing(
        self,
        differences: Sequence[tuple[Difference, float]],
        editor: Part,
        settings: ApplicationSettings,
        meter: Meter,
    ) -> tuple[Editing, Prompting]:
        """The differences ready to be applied, and what makes prompts for pictures without one;
        for :meth:`apply` and every job."""
        made = self._models.get(editor, self.device)
        editing = Editing(self.backbone, made, differences, settings, meter)
        tokens = [tokens for tokens, _ in editing.tokens]
        writer = self._captioner if self._named[2] else None
        return editing, Prompting(
            differences,
            self.backbone,
            tokens,
            writer,
            self._models,
            self.device,
            settings.seed,
            settings.reword,
            meter,
        )

    @property
    def delta_encoder(self) -> DeltaEncoder:
        """The joint space in which differences are learned here."""
        return self._teachers.delta_encoder

    @property
    def captioner(self) -> Captioner | None:
        """What describes pictures here; None if there is nothing."""
        return self._captioner() if self._named[2] else None

    def caption(self, picture: Source) -> str:
        """The captioner's words for a picture. Raises UsageError if there is no captioner."""
        from .method import answers

        if self._named[2] is None:
            raise UsageError(
                f"The backbone {self.backbone.id!r} names no captioner; name one in "
                "load(captioner=)."
            )
        image = read_picture(picture, "the picture")
        seen = to_model(image, answers.seen_size(self.backbone, image.size))
        return answers.captions(self._captioner(), [seen])[0]

    @cached_property
    def _teachers(self) -> Teachers:
        backbone, encoder, captioner = self._named
        spec = backbone.spec
        encoder = encoder or suited_part(registry(), "delta encoder", None, spec, None)
        loaded: DeltaEncoder = self._models.get(encoder, self.device)
        check_spaces(self.backbone, loaded)
        take = getattr(self.backbone, "take_projection", None)
        matrix = getattr(loaded, "text_projection", None)
        if take is not None and matrix is not None:
            take(matrix)
        writer = self._captioner if captioner else None
        chosen = encoder
        return Teachers(
            self.backbone,
            loaded,
            writer,
            lambda: self._models.vocabulary(chosen, self.device),
            lambda: self._make_room(chosen),
            (backbone, encoder, captioner),
        )

    def _make_room(self, encoder: Part) -> DeltaEncoder | None:
        """The delta encoder, on the CPU from now on; the captioner comes back when it is asked.
        None if the encoder was on the CPU before."""
        if writer := self._named[2]:
            self._models.drop(writer, self.device)
        if not self._models.move_out(encoder, self.device):
            return None
        self.__dict__.pop("_teachers", None)
        found: DeltaEncoder = self._models.get(encoder, self.device)
        return found

    def _check_captions(self, captions: Sequence[tuple[str, str]]) -> None:
        if not captions and self._named[2] is None:
            raise UsageError(
                f"The backbone {self.backbone.id!r} names no captioner; say what A and A′ show "
                "with captions=, or name one in load(captioner=)."
            )

    def _captioner(self) -> Captioner:
        part = self._named[2]
        assert part is not None
        captioner: Captioner = self._models.get(part, self.device)
        return captioner


def _heard(events: OnProgress, lessons: Sequence[Lesson]) -> Meter:
    """A meter that has already passed on the warnings about the pictures."""
    meter = Meter(events)
    for lesson in lessons:
        for warning in lesson.warnings:
            meter.warn(warning)
    return meter


def _first_pair(a: Source | None, a_prime: Source | None) -> list[tuple[Source, Source]]:
    if a is None and a_prime is None:
        return []
    if a is None or a_prime is None:
        raise UsageError("A difference is learned from two pictures; give A and A′.")
    return [(a, a_prime)]


def _checked_pairs(pairs: Sequence[object]) -> list[tuple[Source, Source]]:
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise UsageError("A pair is two pictures, (A, A′); give a list of such pairs.")
    return cast("list[tuple[Source, Source]]", list(pairs))


def _name(name: str | None, pairs: Sequence[tuple[Source, Source]]) -> str:
    """The given name, or one made from the files' names."""
    if name is not None:
        return checked_name(name)
    stems = [Path(s).stem for s in (pairs[0] if pairs else ()) if isinstance(s, str | os.PathLike)]
    return "-to-".join(stems).replace(":", " ") if len(stems) == 2 else "difference"


def _lessons(
    pairs: Sequence[tuple[Source, Source]],
    captions: Sequence[tuple[str, str]],
    names: Sequence[str],
) -> list[Lesson]:
    for what, values in (("captions", captions), ("names", names)):
        if values and len(values) != len(pairs):
            raise UsageError(f"Give {what} for every pair: {len(values)} for {len(pairs)}.")
    return [
        read_lesson(
            _name(names[i] if names else None, [pair]), [pair], [captions[i]] if captions else ()
        )
        for i, pair in enumerate(pairs)
    ]


def _inversion_settings(
    settings: InversionSettings | None, changes: dict[str, Any]
) -> InversionSettings:
    known = [field.name for field in fields(InversionSettings)]
    for name in changes:
        if name not in known:
            raise UsageError(f"There is no setting {name!r}; choose from {', '.join(known)}.")
    if settings is not None and changes:
        raise UsageError(f"Give settings= or {', '.join(changes)}, not both.")
    chosen = settings or inversion_settings(changes.pop("preset", "default"), **changes)
    check_settings(chosen)
    return chosen


def _with_strengths(
    difference: Applied | Sequence[Applied], strength: float | Sequence[float]
) -> list[tuple[Difference, float]]:
    single = isinstance(difference, Difference | str | os.PathLike)
    given = [difference] if single else list(cast("Sequence[Applied]", difference))
    if not given:
        raise UsageError("Name at least one difference to apply.")
    weights = [strength] * len(given) if isinstance(strength, int | float) else list(strength)
    if len(weights) != len(given):
        raise UsageError(f"Give one strength, or one for each of the {len(given)} differences.")
    for weight in weights:
        if not isinstance(weight, int | float) or not math.isfinite(weight):
            raise UsageError(f"A strength is a finite number, not {weight!r}.")
    found = [one if isinstance(one, Difference) else _find(one) for one in given]  # type: ignore[arg-type]
    return [(one, float(weight)) for one, weight in zip(found, weights, strict=True)]


def _find(name_or_path: str | os.PathLike[str]) -> Difference:
    return library().load(os.fspath(name_or_path))


def _per_picture(given: str | Sequence[str] | None, count: int, what: str) -> list[str | None]:
    if given is None or isinstance(given, str):
        return [given] * count
    if len(given) != count:
        raise UsageError(f"Give one {what}, or one for each of the {count} pictures.")
    return list(given)


def _sharpen(detail: Detail, seen: Image, prompt: Prompt) -> Sharpen:
    return lambda picture, mask: detail.sharpened(picture, mask, seen.size, prompt)


def _sized(
    picture: Image,
    change: Change,
    size: str | int,
    mask: Image | None,
    sharpen: Sharpen | None,
) -> Image:
    """B′ at the size asked for."""
    photograph = Photograph(picture, picture)
    if size == "model":
        return photograph.as_model(change).seen
    if isinstance(size, int):
        photograph = photograph.resized(size)
        mask = mask and mask.resize(photograph.size)
    return photograph.edited(change, mask, sharpen)


def _masks(mask: Source | Sequence[Source] | None, pictures: Sequence[Image]) -> list[Image] | None:
    """A mask for each picture, grey."""
    if mask is None:
        return None
    several = _is_several(mask)
    given = list(cast("Sequence[Source]", mask)) if several else [cast("Source", mask)]
    if several and len(given) != len(pictures):
        raise UsageError(f"Give one mask, or one for each of the {len(pictures)} pictures.")
    read = [read_picture(one, "the mask") for one in given]
    masks = read if several else read * len(pictures)
    return [
        fitted(one, picture.size, "A mask") for one, picture in zip(masks, pictures, strict=True)
    ]


def _several(given: NamedPath | Sequence[NamedPath]) -> Sequence[NamedPath]:
    return [given] if isinstance(given, str | os.PathLike) else given


def _is_several(pictures: object) -> bool:
    return isinstance(pictures, list | tuple)


def _chunks(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    if size < 1:
        raise UsageError(f"A batch holds at least one picture, not {size}.")
    return [values[i : i + size] for i in range(0, len(values), size)]


def _check_memory(memory: str | None) -> None:
    if memory not in (None, "auto", "low", "high"):
        raise UsageError(f"memory is 'auto', 'low' or 'high', not {memory!r}.")
