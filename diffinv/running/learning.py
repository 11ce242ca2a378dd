"""What happens to a pair: it is framed, described, learned from, and becomes a Difference."""

from __future__ import annotations

import contextlib
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..difference import Difference, DifferenceInfo, to_bytes
from ..errors import UsageError
from ..pictures.framing import of_shape, to_model
from ..pictures.reading import pixel_hash
from ..pictures.writing import to_webp
from ..plugins.loading import registry
from .additions import written_down
from .keeping import Keeper
from .lesson import Lesson
from .out_of_memory import with_room
from .parts import Part
from .progress import DESCRIBING, LEARNING, PREVIEW, WORDS, Meter
from .prompting import shortened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, Captioner, DeltaEncoder, DiffTokens
    from ..method.inversion import Inversion, InversionResult, Pair
    from ..method.settings import InversionSettings
    from ..method.word_tokens import WordTokens
    from ..method.words import Vocabulary, Wording

PROMPT_IDS = "diffinv.prompt_ids"
"""The header entry for the token ids of hard prompts."""

_PREVIEWS_AT = (0.25, 0.5, 0.75)
"""Shares of the run after which the preview is renewed."""

_QUICK_STEPS = 8
"""Denoising steps of the previews along the way. A preview of fewer takes the first wording that
the words give: to have the denoiser choose one takes as long as six steps."""


@dataclass(frozen=True)
class Teachers:
    """The loaded parts that learning needs, and where they came from. ``captioner`` is called when
    captions have to be written, and is None if they never are. ``make_room`` takes all but the
    backbone off its device and gives the delta encoder anew; None if there is nothing to take."""

    backbone: Backbone
    delta_encoder: DeltaEncoder
    captioner: Callable[[], Captioner] | None
    vocabulary: Callable[[], Vocabulary | None]
    make_room: Callable[[], DeltaEncoder | None]
    named: tuple[Part, Part, Part | None]
    """Backbone, delta encoder and captioner as they were asked for."""


@dataclass(frozen=True)
class _Learned:
    """What a preview shows: tokens [k, width], the pictures' own delta [d], the words that the
    tokens are, if they are words, and how the pooled text embedding moves [w], if it does."""

    tokens: Tensor
    direction: Tensor
    words: WordTokens | None
    pooled: Tensor | None


def check_spaces(backbone: Backbone, encoder: DeltaEncoder) -> None:
    """Refuse a delta encoder unless the backbone projects its tokens to the encoder's space, or to
    none."""
    if backbone.joint_space not in (None, encoder.space):
        raise UsageError(
            f"The delta encoder {encoder.id!r} works in the joint space {encoder.space!r}, but the "
            f"backbone {backbone.id!r} projects its tokens to {backbone.joint_space!r}, so the two "
            "cannot be compared; choose a --delta-encoder of the backbone's space."
        )


def learn(
    teachers: Teachers,
    lessons: Sequence[Lesson],
    settings: InversionSettings,
    meter: Meter,
    keeper: Keeper,
) -> list[Difference]:
    """A difference from each lesson; all of them share the denoiser's batches.

    Raises DiffinvError if a part gives a bad answer or memory runs out.
    """
    check_spaces(teachers.backbone, teachers.delta_encoder)
    groups, remarks = _describe(teachers, lessons, settings, meter)
    if teachers.backbone.joint_space is None:
        meter.warn(
            f"The backbone {teachers.backbone.id!r} shares no space with pictures: the difference "
            "is learned by token consistency alone."
        )

    def work(backbone: Backbone) -> tuple[list[InversionResult], Sequence[Image | None]]:
        roomy = replace(teachers, backbone=backbone)
        results = _learn(roomy, groups, settings, meter, keeper)
        meter.phase(WORDS)
        teachers.vocabulary()  # takes a minute with a large encoder on a CPU
        if not settings.preview:
            return results, [None] * len(results)
        learned = [_Learned(r.tokens, r.delta_image, r.words, r.pooled) for r in results]
        return results, _previews(roomy, groups, learned, settings, meter=meter)

    def make_room() -> bool:
        nonlocal teachers
        encoder = teachers.make_room()
        if encoder is not None:
            teachers = replace(teachers, delta_encoder=encoder)
        return encoder is not None

    results, previews = with_room(work, teachers.backbone, meter, make_room)
    if previews[0]:
        keeper.show(previews[0])
    for own, result in zip(remarks, results, strict=True):
        own.extend(result.warnings)
    seconds = round(keeper.seconds() / len(lessons), 3)
    rows = zip(lessons, groups, results, previews, remarks, strict=True)
    return [
        _difference(
            _info(
                teachers, lesson, pairs, settings, seconds, _warnings(meter, own, remarks), result
            ),
            result,
            _thumbnails(lesson, preview),
        )
        for lesson, pairs, result, preview, own in rows
    ]


def _describe(
    teachers: Teachers, lessons: Sequence[Lesson], settings: InversionSettings, meter: Meter
) -> tuple[list[list[Pair]], list[list[str]]]:
    """The pairs of every lesson at the backbone's size, with captions and prompts; and the warnings
    about each lesson."""
    meter.phase(DESCRIBING)
    groups, remarks = [], []
    for lesson in lessons:
        remarks.append(list(lesson.warnings))
        groups.append(_pairs(teachers, lesson, settings, meter, remarks[-1]))
    return groups, remarks


def _pairs(
    teachers: Teachers,
    lesson: Lesson,
    settings: InversionSettings,
    meter: Meter,
    remarks: list[str],
) -> list[Pair]:
    from ..method import answers
    from ..method.inversion import Pair
    from ..method.prompts import make_prompts

    shape = lesson.pictures[0][0].size
    size = answers.seen_size(teachers.backbone, shape, settings.side)
    images = [to_model(of_shape(i, shape), size) for pair in lesson.pictures for i in pair]
    if lesson.captions or teachers.captioner is None:
        captions = [text for pair in lesson.captions for text in pair]
    else:
        captions = answers.captions(teachers.captioner(), images)
    encoder = teachers.delta_encoder
    made = make_prompts(settings.prompter, encoder, images, captions, settings.seed)
    room = settings.tokens if settings.token_space in ("input", "words") else 0
    prompts = []
    for text in made:
        prompt, remark = shortened(text, teachers.backbone, room)
        prompts.append(prompt)
        if remark:
            remarks.append(remark)
            meter.warn(remark)
    rows = zip(_by_two(images), _by_two(captions), _by_two(prompts), strict=True)
    return [Pair(*image, *caption, *prompt) for image, caption, prompt in rows]


def _learn(
    teachers: Teachers,
    groups: list[list[Pair]],
    settings: InversionSettings,
    meter: Meter,
    keeper: Keeper,
) -> list[InversionResult]:
    from ..method.inversion import Inversion

    _check_offers(teachers.backbone, settings)
    inversion = Inversion(teachers.backbone, teachers.delta_encoder, groups, settings)
    keeper.restore(inversion, _decisive(teachers, groups, settings))
    shares = _PREVIEWS_AT if settings.preview else ()
    previews = {round(share * settings.steps) for share in shares}
    meter.phase(LEARNING, settings.steps, inversion.mean_losses())
    keeper.begin()
    while not inversion.is_done:
        event = inversion.advance()
        with keeper.kept(inversion):
            meter.step(event.step, event.loss)
        if inversion.step in previews and keeper.is_curious:
            keeper.show(_quick_preview(teachers, groups, inversion, settings))
    results = inversion.results()
    for warning in dict.fromkeys(w for result in results for w in result.warnings):
        meter.warn(warning)
    return results


def _check_offers(backbone: Backbone, settings: InversionSettings) -> None:
    """Refuse what the backbone cannot learn."""
    if settings.pooled and not getattr(backbone, "pooled_width", None):
        raise UsageError(
            f"The backbone {backbone.id!r} has no pooled text embedding to move; leave out "
            "--pooled."
        )
    if settings.token_space == "input" and backbone.encode_prompts([""]).reencode is None:
        raise UsageError(
            f"The backbone {backbone.id!r} takes no tokens in the input space; "
            "use --token-space additive or output."
        )


def _quick_preview(
    teachers: Teachers,
    groups: list[list[Pair]],
    inversion: Inversion,
    settings: InversionSettings,
) -> Image:
    """A rough picture of what the first difference's tokens do so far. Does not affect learning."""
    import torch

    device = teachers.backbone.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        tokens, pooled = inversion.tokens.detach()[0], inversion.pooled
        learned = _Learned(
            tokens,
            inversion.deltas[0].image,
            inversion.words(tokens),
            None if pooled is None else pooled.detach()[0],
        )
        steps = min(_QUICK_STEPS, settings.preview)
        return _previews(teachers, groups[:1], [learned], settings, steps)[0]


def _previews(
    teachers: Teachers,
    groups: list[list[Pair]],
    learned: list[_Learned],
    settings: InversionSettings,
    steps: int | None = None,
    meter: Meter | None = None,
) -> list[Image]:
    """Each difference applied to the first A it was learned from, with the default settings but for
    the number of steps."""
    from ..method.application import apply_differences
    from ..method.settings import ApplicationSettings

    images = [pairs[0].a for pairs in groups]
    use = ApplicationSettings(seed=settings.seed)
    use = replace(use, steps=steps or settings.preview)
    if meter:
        meter.phase(PREVIEW, use.steps)
    editor = registry().create(registry().editors[use.editor])
    prompts = [pairs[0].prompt_a for pairs in groups]
    differences = _stacked(learned, settings, teachers.backbone)
    wordings = _preview_wordings(teachers, images, prompts, learned, differences, use.steps)
    return apply_differences(
        teachers.backbone,
        images,
        prompts,
        differences,
        editor,
        use,
        lambda step, _steps: meter.step(step) if meter else None,
        wordings=wordings,
    )


def _stacked(
    learned: Sequence[_Learned], settings: InversionSettings, backbone: Backbone
) -> list[tuple[DiffTokens, float]]:
    """The tokens of all differences, a row for each; none if they are words."""
    import torch

    from ..contracts import DiffTokens

    if settings.token_space == "words":
        return []
    values = torch.stack([one.tokens for one in learned]).to(backbone.device)
    moves = [one.pooled for one in learned if one.pooled is not None]
    pooled = torch.stack(moves).to(backbone.device) if moves else None
    return [(DiffTokens(values, settings.token_space, pooled), 1.0)]


def _preview_wordings(
    teachers: Teachers,
    images: Sequence[Image],
    prompts: Sequence[str],
    learned: Sequence[_Learned],
    differences: Sequence[tuple[DiffTokens, float]],
    steps: int,
) -> list[Wording] | None:
    """What becomes of the words of each A, None for nothing."""
    from ..method.choosing import choose_wordings

    rows = zip(prompts, learned, strict=True)
    if not differences:
        vocabulary = teachers.vocabulary()
        return [_told(text, one, vocabulary) for text, one in rows]
    words = None if differences[0][0].space == "input" else teachers.vocabulary()
    if words is None:
        return None
    found = [words.wordings(text, [one.direction]) for text, one in rows]
    if steps >= _QUICK_STEPS:
        return choose_wordings(teachers.backbone, images, prompts, differences, found)
    return [candidates[0] for candidates in found]


def _told(text: str, one: _Learned, vocabulary: Vocabulary | None) -> Wording:
    """What becomes of a prompt if the difference is words, as when it is applied."""
    from ..method.word_tokens import with_words
    from ..method.words import Wording

    found = vocabulary.wordings(text, [one.direction]) if vocabulary else [Wording(text, 0.0, ())]
    told = [(one.words, 1.0)] if one.words else []
    return with_words(text, replace(found[0], shares=()), told)


def _decisive(
    teachers: Teachers, groups: list[list[Pair]], settings: InversionSettings
) -> list[object]:
    """Everything the tokens depend on. A checkpoint is valid only if it is all the same."""
    chosen = asdict(settings)
    del chosen["preview"], chosen["side"]  # the pictures below have the side they are seen at
    pairs = [pair for group in groups for pair in group]
    texts = [(p.caption_a, p.caption_a_prime, p.prompt_a, p.prompt_a_prime) for p in pairs]
    pictures = [(pixel_hash(pair.a), pixel_hash(pair.a_prime)) for pair in pairs]
    _, encoder, _ = teachers.named
    weights = (teachers.backbone.id, teachers.backbone.weights_id)
    return ["units", chosen, texts, pictures, weights, (encoder.spec.id, encoder.weights)]


def _warnings(meter: Meter, own: list[str], all_remarks: list[list[str]]) -> tuple[str, ...]:
    """Warnings about this lesson and about the run, without those about other lessons."""
    others = {remark for remarks in all_remarks for remark in remarks} - set(own)
    return tuple(warning for warning in meter.warnings if warning not in others)


def _info(
    teachers: Teachers,
    lesson: Lesson,
    pairs: list[Pair],
    settings: InversionSettings,
    seconds: float,
    warnings: tuple[str, ...],
    result: InversionResult,
) -> DifferenceInfo:
    """Everything known about how a difference was made."""
    first, backbone = pairs[0], teachers.backbone
    named = [part for part in teachers.named if part]
    captioner = teachers.named[2]
    by_hand = lesson.captions or captioner is None
    brought, taken = _words(teachers, result)
    return DifferenceInfo(
        name=lesson.name,
        description=f"{first.caption_a} → {first.caption_a_prime}",
        tags=lesson.tags,
        backbone=backbone.id,
        backbone_weights=backbone.weights_id,
        token_space=settings.token_space,
        delta_encoder=teachers.named[1].spec.id,
        captioner="by hand" if by_hand or captioner is None else captioner.spec.id,
        prompter=settings.prompter,
        captions=tuple((pair.caption_a, pair.caption_a_prime) for pair in pairs),
        prompts=tuple((pair.prompt_a, pair.prompt_a_prime) for pair in pairs),
        pair_hashes=tuple((pixel_hash(a), pixel_hash(b)) for a, b in lesson.pictures),
        settings=asdict(settings),
        device=str(backbone.device),
        versions=_versions(named[:2] if by_hand else named),
        seconds=seconds,
        warnings=warnings,
        words_brought=brought,
        words_taken=taken,
        token_scale=result.token_scale,
        additions=written_down(teachers.named[0].additions),
        extra=_prompt_ids(settings, teachers.delta_encoder, pairs),
    )


def _words(teachers: Teachers, result: InversionResult) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a difference reads like: the words it brings, and those it takes away."""
    if result.words is not None:
        return result.words.brings, result.words.takes
    vocabulary = teachers.vocabulary()
    if vocabulary is None or not result.delta.any():
        return (), ()
    reading = vocabulary.read(result.delta)
    return reading.brings, reading.takes


def _prompt_ids(
    settings: InversionSettings, encoder: DeltaEncoder, pairs: list[Pair]
) -> dict[str, str]:
    """The token ids of hard prompts, (A, A′) per pair, as an entry of the file's header."""
    from ..method.prompts import HardPromptEncoder

    if settings.prompter != "pez" or not isinstance(encoder, HardPromptEncoder):
        return {}
    ids = [[encoder.ids_of(pair.prompt_a), encoder.ids_of(pair.prompt_a_prime)] for pair in pairs]
    return {PROMPT_IDS: json.dumps(ids)}


def _versions(parts: Sequence[Part]) -> dict[str, str]:
    """The versions of what a result depends on: libraries and the parts' plugins."""
    versions = {"python": platform.python_version()}
    for library in ("diffinv", "torch", "diffusers", "transformers", "numpy", "pillow"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    for part in parts:
        for row in registry().rows:
            if part.spec in row.specs:
                versions[row.distribution] = row.version
    return versions


def _difference(
    info: DifferenceInfo, result: InversionResult, thumbnails: dict[str, bytes]
) -> Difference:
    """With its checksum and date, as it will be saved."""
    arrays = (_array(result.tokens), _array(result.delta), _array(result.losses))
    pooled = None if result.pooled is None else _array(result.pooled)
    difference = Difference(info, *arrays, thumbnails, _array(result.delta_image), pooled)
    return replace(difference, info=to_bytes(difference)[1])


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return array


def _thumbnails(lesson: Lesson, preview: Image | None) -> dict[str, bytes]:
    """``a``, ``a_prime`` and the ``preview``, if there is one; further pairs are ``a_1``,
    ``a_prime_1`` and so on."""
    images = {"preview": preview} if preview else {}
    for index, (a, a_prime) in enumerate(lesson.pictures):
        suffix = f"_{index}" if index else ""
        images |= {f"a{suffix}": a, f"a_prime{suffix}": a_prime}
    return {name: to_webp(image) for name, image in images.items()}


def _by_two(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))
