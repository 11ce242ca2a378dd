"""Carries out requests: the one place that loads models. torch is imported inside functions."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..difference import Difference, DifferenceInfo
from ..errors import DiffinvError, UsageError
from ..library.store import Library
from ..pictures.framing import fit_square
from ..pictures.reading import pixel_hash
from ..pictures.writing import to_webp
from ..plugins.loading import registry
from ..running.devices import device_warnings
from ..running.models import Models, choose_device, make_deterministic
from ..running.out_of_memory import with_room
from ..running.parts import Part
from ..running.progress import DESCRIBING, LEARNING, LOADING, PREVIEW, Meter, OnProgress, ignore
from ..running.prompting import shorten
from ..running.remembered_weights import remember_checkpoint, remember_encoder
from ..system.paths import library_folder
from .applying import Applier
from .checkpointing import Keeper
from .planning import ApplicationPlan, InversionPlan, plan_application, plan_inversion
from .requests import ApplicationReport, ApplyRequest, InvertRequest
from .workspace import JOB_KEY, Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, Captioner, DeltaEncoder, TokenSpace
    from ..method.inversion import Inversion, InversionResult, Pair
    from ..method.settings import ApplicationSettings

__all__ = ["Models", "run_application", "run_inversion"]

PROMPT_IDS = "diffinv.prompt_ids"
"""The header entry that holds the token ids of hard prompts."""

_PREVIEWS_AT = (0.25, 0.5, 0.75)
"""Shares of the run after which the preview is renewed."""

_QUICK_STEPS = 8
"""Denoising steps of the previews on the way."""


def run_inversion(
    request: InvertRequest,
    on_progress: OnProgress = ignore,
    models: Models | None = None,
    workspace: Workspace | None = None,
) -> tuple[Difference, Path]:
    """Learn a difference and write it into the library: the difference and its file.

    Everything is checked before a model is loaded. The same request on the same machine gives
    the same tokens, bit for bit; so does one that was interrupted and goes on in the same
    ``workspace``.
    """
    started = time.perf_counter()
    library = Library(request.library or library_folder())
    if workspace and (found := workspace.find_result(library)):
        return library.load(found.path), found.path
    plan = plan_inversion(request)
    meter = Meter(on_progress)
    for warning in plan.warnings:
        if warning not in device_warnings(request.device):  # torch is about to tell
            meter.warn(warning)
    meter.phase(LOADING)
    device = choose_device(request.device)
    make_deterministic(request.settings.seed)
    models = models or Models()
    models.use_memory(request.memory)
    _tell_before_loading(plan, device, models, meter)
    parts = _load_for_inversion(plan, device, models)
    pairs = _describe(request, plan, parts, meter)
    keeper = Keeper(workspace, _decisive(request, plan, parts, pairs), meter, started)

    def learn(backbone: Backbone) -> tuple[InversionResult, Image]:
        roomy = replace(parts, backbone=backbone)
        result = _learn(request, roomy, pairs, meter, keeper)
        return result, _final_preview(request, roomy, pairs[0], result, meter)

    result, preview = with_room(learn, parts.backbone, meter)
    keeper.show(preview)
    info = _info(request, plan, pairs, meter, parts, keeper.seconds())
    if workspace:
        info = replace(info, extra={**info.extra, JOB_KEY: workspace.folder.name})
    difference = Difference(
        info,
        _array(result.tokens),
        _array(result.delta),
        _array(result.losses),
        _thumbnails(plan, preview),
    )
    entry = plan.library.add(difference)
    info = entry.info or info
    with contextlib.suppress(DiffinvError):  # what was learned counts more than a note of where
        _remember_weights(plan, info)
    return replace(difference, info=info), entry.path


def _remember_weights(plan: InversionPlan, info: DifferenceInfo) -> None:
    """Those that applying needs again: the backbone's, and of PEZ the delta encoder's."""
    if plan.backbone.weights:
        remember_checkpoint(info.backbone, info.backbone_weights, plan.backbone.weights)
    if plan.delta_encoder.weights and info.prompter == "pez":
        remember_encoder(info, plan.delta_encoder.weights)


def run_application(
    request: ApplyRequest,
    on_progress: OnProgress = ignore,
    models: Models | None = None,
    resumed: bool = False,
) -> ApplicationReport:
    """Apply differences to pictures, batch by batch; every result is written as it is made.

    A picture that cannot be done becomes a failure in the report, and the others go on. Those
    that an earlier run with the same request has done are not done again.
    """
    plan = plan_application(request, resumed)
    meter = Meter(on_progress)
    for output in plan.done:
        meter.wrote(output)
    if not plan.targets:
        return ApplicationReport(plan.done, plan.failures, len(plan.done))
    meter.phase(LOADING)
    device = choose_device(request.device)
    make_deterministic(request.settings.seed)
    models = models or Models()
    models.use_memory(request.memory)
    _tell_before_loading(plan, device, models, meter)
    applier = Applier(request, plan, device, models, meter)
    report = applier.run()
    return replace(report, outputs=plan.done + report.outputs, skipped=len(plan.done))


def _tell_before_loading(
    plan: InversionPlan | ApplicationPlan, device: str, models: Models, meter: Meter
) -> None:
    """The notes of the plan, unless the backbone is loaded and they come too late."""
    if not models.has(plan.backbone, device):
        for note in plan.notes:
            meter.note(note)


@dataclass(frozen=True)
class _InversionParts:
    backbone: Backbone
    delta_encoder: DeltaEncoder
    captioner: Captioner | None


def _load_for_inversion(plan: InversionPlan, device: str, models: Models) -> _InversionParts:
    backbone: Backbone = models.get(plan.backbone, device)
    encoder: DeltaEncoder = models.get(plan.delta_encoder, device)
    if backbone.joint_space != encoder.space:
        raise UsageError(
            f"The delta encoder {encoder.id!r} works in the joint space {encoder.space!r}, but the "
            f"backbone {backbone.id!r} projects its tokens to {backbone.joint_space!r}, so the two "
            "cannot be compared; choose a --delta-encoder of the backbone's space."
        )
    captioner = models.get(plan.captioner, device) if plan.captioner else None
    return _InversionParts(backbone, encoder, captioner)


def _describe(
    request: InvertRequest, plan: InversionPlan, parts: _InversionParts, meter: Meter
) -> list[Pair]:
    """Pictures at the backbone's size, their captions and the prompts made of them."""
    from ..method import answers
    from ..method.inversion import Pair
    from ..method.prompts import make_prompts

    meter.phase(DESCRIBING)
    side = parts.backbone.resolution
    images = [fit_square(image, side) for pair in plan.pictures for image in pair]
    if parts.captioner:
        captions = answers.captions(parts.captioner, images)
    else:
        captions = [text for pair in request.captions for text in pair]
    settings = request.settings
    made = make_prompts(settings.prompter, parts.delta_encoder, images, captions, settings.seed)
    room = settings.tokens if settings.token_space == "input" else 0
    prompts = [shorten(prompt, parts.backbone, room, meter) for prompt in made]
    rows = zip(_by_two(images), _by_two(captions), _by_two(prompts), strict=True)
    return [Pair(*image, *caption, *prompt) for image, caption, prompt in rows]


def _learn(
    request: InvertRequest,
    parts: _InversionParts,
    pairs: list[Pair],
    meter: Meter,
    keeper: Keeper,
) -> InversionResult:
    from ..method.inversion import Inversion

    settings = request.settings
    _check_token_space(parts.backbone, settings.token_space)
    inversion = Inversion(parts.backbone, parts.delta_encoder, [pairs], settings, [settings.seed])
    keeper.restore(inversion)
    previews = {round(share * settings.steps) for share in _PREVIEWS_AT}
    meter.phase(LEARNING, settings.steps, inversion.mean_losses())
    keeper.begin()
    while not inversion.is_done:
        event = inversion.advance()
        with keeper.kept(inversion):
            meter.step(event.step, event.loss)
        if inversion.step in previews and keeper.is_curious:
            keeper.show(_quick_preview(request, parts, pairs[0], inversion))
    (result,) = inversion.results()
    for warning in result.warnings:
        meter.warn(warning)
    return result


def _check_token_space(backbone: Backbone, space: str) -> None:
    if space == "input" and backbone.encode_prompts([""]).reencode is None:
        raise UsageError(
            f"The backbone {backbone.id!r} takes no tokens in the input space; "
            "use --token-space additive or output."
        )


def _final_preview(
    request: InvertRequest,
    parts: _InversionParts,
    pair: Pair,
    result: InversionResult,
    meter: Meter,
) -> Image:
    """The difference applied to the A it was learned from, with the default settings."""
    from ..method.settings import ApplicationSettings

    settings = ApplicationSettings(seed=request.settings.seed)
    meter.phase(PREVIEW, settings.steps)
    space = request.settings.token_space
    return _preview(parts, pair, result.tokens, space, settings, meter)


def _quick_preview(
    request: InvertRequest, parts: _InversionParts, pair: Pair, inversion: Inversion
) -> Image:
    """What the tokens do so far, roughly. Learning goes on as if nobody had looked."""
    import torch

    from ..method.settings import ApplicationSettings

    settings = ApplicationSettings(seed=request.settings.seed, steps=_QUICK_STEPS)
    device = parts.backbone.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        tokens = inversion.tokens.detach()[0]
        return _preview(parts, pair, tokens, request.settings.token_space, settings)


def _preview(
    parts: _InversionParts,
    pair: Pair,
    tokens: Tensor,
    space: TokenSpace,
    settings: ApplicationSettings,
    meter: Meter | None = None,
) -> Image:
    from ..contracts import DiffTokens
    from ..method.application import apply_differences

    editor = registry().create(registry().editors[settings.editor])
    difference = DiffTokens(tokens[None].to(parts.backbone.device), space)
    images = apply_differences(
        parts.backbone,
        [pair.a],
        [pair.prompt_a],
        [(difference, 1.0)],
        editor,
        settings,
        lambda step, _steps: meter.step(step) if meter else None,
    )
    return images[0]


def _decisive(
    request: InvertRequest, plan: InversionPlan, parts: _InversionParts, pairs: list[Pair]
) -> list[object]:
    """All that decides the tokens: a checkpoint is good only for the same."""
    texts = [(p.caption_a, p.caption_a_prime, p.prompt_a, p.prompt_a_prime) for p in pairs]
    pictures = [(pixel_hash(pair.a), pixel_hash(pair.a_prime)) for pair in pairs]
    encoder = (plan.delta_encoder.spec.id, plan.delta_encoder.weights)
    weights = (parts.backbone.id, parts.backbone.weights_id)
    return [asdict(request.settings), texts, pictures, weights, encoder]


def _info(
    request: InvertRequest,
    plan: InversionPlan,
    pairs: list[Pair],
    meter: Meter,
    parts: _InversionParts,
    seconds: float,
) -> DifferenceInfo:
    """Everything that is known of how a difference came about."""
    used = [plan.backbone, plan.delta_encoder, *([plan.captioner] if plan.captioner else [])]
    first, backbone = pairs[0], parts.backbone
    return DifferenceInfo(
        name=plan.name,
        description=f"{first.caption_a} → {first.caption_a_prime}",
        tags=request.tags,
        backbone=backbone.id,
        backbone_weights=backbone.weights_id,
        token_space=request.settings.token_space,
        delta_encoder=plan.delta_encoder.spec.id,
        captioner=plan.captioner.spec.id if plan.captioner else "by hand",
        prompter=request.settings.prompter,
        captions=tuple((pair.caption_a, pair.caption_a_prime) for pair in pairs),
        prompts=tuple((pair.prompt_a, pair.prompt_a_prime) for pair in pairs),
        pair_hashes=tuple((pixel_hash(a), pixel_hash(b)) for a, b in plan.pictures),
        settings=asdict(request.settings),
        device=str(backbone.device),
        versions=_versions(used),
        seconds=round(seconds, 3),
        warnings=tuple(meter.warnings),
        extra=_prompt_ids(request, parts.delta_encoder, pairs),
    )


def _prompt_ids(request: InvertRequest, encoder: DeltaEncoder, pairs: list[Pair]) -> dict[str, str]:
    """The token ids of hard prompts, (A, A') a pair, as an entry of the file's header."""
    from ..method.prompts import HardPromptEncoder

    if request.settings.prompter != "pez" or not isinstance(encoder, HardPromptEncoder):
        return {}
    ids = [[encoder.ids_of(pair.prompt_a), encoder.ids_of(pair.prompt_a_prime)] for pair in pairs]
    return {PROMPT_IDS: json.dumps(ids)}


def _array(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return array


def _versions(parts: Sequence[Part]) -> dict[str, str]:
    """The versions of what a result depends on: libraries, and the plugins of the parts."""
    versions = {"python": platform.python_version()}
    for library in ("diffinv", "torch", "diffusers", "transformers", "numpy", "pillow"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    for part in parts:
        for row in registry().rows:
            if part.spec in row.specs:
                versions[row.distribution] = row.version
    return versions


def _thumbnails(plan: InversionPlan, preview: Image) -> dict[str, bytes]:
    """``a``, ``a_prime`` and ``preview``; further pairs as ``a_1``, ``a_prime_1`` and so on."""
    images = {"preview": preview}
    for index, (a, a_prime) in enumerate(plan.pictures):
        suffix = f"_{index}" if index else ""
        images |= {f"a{suffix}": a, f"a_prime{suffix}": a_prime}
    return {name: to_webp(image) for name, image in images.items()}


def _by_two(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))
