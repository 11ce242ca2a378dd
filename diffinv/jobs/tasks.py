"""Carries out requests: the one place that loads models. torch is imported inside functions."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..difference import Difference, DifferenceInfo
from ..errors import DiffinvError, UsageError
from ..images import fit_square, open_image, pixel_hash, save_png, to_webp
from ..plugins import registry
from .checks import ApplicationPlan, InversionPlan, Part, plan_application, plan_inversion
from .requests import (
    ApplicationReport,
    AppliedImage,
    ApplyRequest,
    InvertRequest,
    OnProgress,
    Progress,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from ..contracts import Backbone, Captioner, DeltaEncoder, TokenSpace
    from ..method.conditioning import DiffTokens
    from ..method.inversion import InversionResult, Pair

LOADING = "Loading the models"
DESCRIBING = "Describing the pictures"
LEARNING = "Learning the difference"
PREVIEW = "Making the preview"
APPLYING = "Applying"

PROMPT_IDS = "diffinv.prompt_ids"
"""The header entry that holds the token ids of hard prompts."""


class Models:
    """Loaded parts, kept so that one task after another can use them."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str, str | None, str], Any] = {}

    def get(self, part: Part, device: str) -> Any:
        """The part on a device; loaded at the first call."""
        key = (type(part.spec).__name__, part.spec.id, part.weights, device)
        if key not in self._loaded:
            self._loaded[key] = registry().create(part.spec, part.weights, device)
        return self._loaded[key]


class Meter:
    """Turns steps into progress events with rate and remaining time."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._emit = on_progress
        self.warnings: list[str] = []
        self._name, self._total, self._started = "", 0, 0.0

    def phase(self, name: str, total: int = 0) -> None:
        """A new phase begins."""
        self._name, self._total, self._started = name, total, time.perf_counter()
        self._emit(Progress(name, 0, total))

    def step(self, step: int, loss: float | None = None) -> None:
        """So many steps of the phase are done."""
        rate = step / max(1e-9, time.perf_counter() - self._started)
        eta = (self._total - step) / rate if rate else None
        self._emit(Progress(self._name, step, self._total, loss, rate, eta))

    def warn(self, warning: str) -> None:
        """Something the user should know; the task goes on."""
        self.warnings.append(warning)
        self._emit(Progress(self._name, warning=warning))


def ignore(_event: Progress) -> None:
    """Progress that nobody watches."""


def run_inversion(
    request: InvertRequest, on_progress: OnProgress = ignore, models: Models | None = None
) -> tuple[Difference, Path]:
    """Learn a difference and write it into the library: the difference and its file.

    Everything is checked before a model is loaded. The same request on the same machine gives
    the same tokens, bit for bit.
    """
    started = time.perf_counter()
    plan = plan_inversion(request)
    meter = Meter(on_progress)
    for warning in plan.warnings:
        meter.warn(warning)
    meter.phase(LOADING)
    device = choose_device(request.device)
    make_deterministic(request.settings.seed)
    parts = _load_for_inversion(plan, device, models or Models())
    pairs = _describe(request, plan, parts, meter)
    result = _learn(request, parts, pairs, meter)
    preview = _preview(request, parts, pairs[0], result, meter)
    seconds = time.perf_counter() - started
    info = _info(request, plan, pairs, meter, parts, seconds)
    difference = Difference(
        info,
        _array(result.tokens),
        _array(result.delta),
        _array(result.losses),
        _thumbnails(plan, preview),
    )
    entry = plan.library.add(difference)
    return replace(difference, info=entry.info or info), entry.path


def run_application(
    request: ApplyRequest, on_progress: OnProgress = ignore, models: Models | None = None
) -> ApplicationReport:
    """Apply differences to pictures, batch by batch; every result is written as it is made.

    A picture that cannot be done becomes a failure in the report, and the others go on.
    """
    plan = plan_application(request)
    if not plan.targets:
        return ApplicationReport(failures=plan.failures)
    meter = Meter(on_progress)
    meter.phase(LOADING)
    device = choose_device(request.device)
    make_deterministic(request.settings.seed)
    applier = _Applier(request, plan, device, models or Models(), meter)
    return applier.run()


def choose_device(wanted: str | None) -> str:
    """The device asked for, if torch has it, or the best there is."""
    import torch

    if wanted is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        if torch.device(wanted).type == "meta":
            raise ValueError(wanted)
        torch.empty(1, device=wanted)
    except Exception as error:
        raise UsageError(
            f"There is no device {wanted!r} here; 'diffinv doctor' lists those there are."
        ) from error
    return wanted


def make_deterministic(seed: int) -> None:
    """The same seed gives the same result: deterministic algorithms, seeded generators."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    torch.manual_seed(seed)


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
            f"The delta encoder {encoder.id!r} works in the joint space {encoder.space!r}, the "
            f"backbone {backbone.id!r} in {backbone.joint_space!r}; choose a --delta-encoder of "
            "the same space."
        )
    captioner = models.get(plan.captioner, device) if plan.captioner else None
    return _InversionParts(backbone, encoder, captioner)


def _describe(
    request: InvertRequest, plan: InversionPlan, parts: _InversionParts, meter: Meter
) -> list[Pair]:
    """Pictures at the backbone's size, their captions and the prompts made of them."""
    from ..method.inversion import Pair
    from ..method.prompts import make_prompts

    meter.phase(DESCRIBING)
    side = parts.backbone.resolution
    images = [fit_square(image, side) for pair in plan.pictures for image in pair]
    if parts.captioner:
        captions = parts.captioner.caption(images)
    else:
        captions = [text for pair in request.captions for text in pair]
    settings = request.settings
    made = make_prompts(settings.prompter, parts.delta_encoder, images, captions, settings.seed)
    room = settings.tokens if settings.token_space == "input" else 0
    prompts = [shorten(prompt, parts.backbone, room, meter) for prompt in made]
    rows = zip(_by_two(images), _by_two(captions), _by_two(prompts), strict=True)
    return [Pair(*image, *caption, *prompt) for image, caption, prompt in rows]


def shorten(prompt: str, backbone: Backbone, room: int, meter: Meter) -> str:
    """A prompt that leaves ``room`` for DIFF tokens; words are dropped from its end."""
    budget = backbone.token_budget - room
    if budget < 0:
        raise UsageError(
            f"{room} DIFF tokens are more than the {backbone.token_budget} tokens that the "
            f"backbone {backbone.id!r} reads."
        )
    words = prompt.split()
    while words and backbone.count_tokens(" ".join(words)) > budget:
        words.pop()
    short = " ".join(words)
    if short != " ".join(prompt.split()):
        meter.warn(f"The prompt was shortened to the {budget} tokens there is room for: {short!r}.")
        return short
    return prompt


def _learn(
    request: InvertRequest, parts: _InversionParts, pairs: list[Pair], meter: Meter
) -> InversionResult:
    from ..method.inversion import invert

    settings = request.settings
    _check_token_space(parts.backbone, settings.token_space)
    meter.phase(LEARNING, settings.steps)
    (result,) = invert(
        parts.backbone,
        parts.delta_encoder,
        [pairs],
        settings,
        [settings.seed],
        lambda event: meter.step(event.step, event.loss),
    )
    for warning in result.warnings:
        meter.warn(warning)
    return result


def _check_token_space(backbone: Backbone, space: str) -> None:
    if space == "input" and backbone.encode_prompts([""]).reencode is None:
        raise UsageError(
            f"The backbone {backbone.id!r} takes no tokens in the input space; "
            "use --token-space additive or output."
        )


def _preview(
    request: InvertRequest,
    parts: _InversionParts,
    pair: Pair,
    result: InversionResult,
    meter: Meter,
) -> Image:
    """The difference applied to the A it was learned from, with the default settings."""
    from ..method.application import apply_differences
    from ..method.conditioning import DiffTokens
    from ..method.settings import ApplicationSettings

    settings = ApplicationSettings(seed=request.settings.seed)
    meter.phase(PREVIEW, settings.steps)
    editor = registry().create(registry().editors[settings.editor])
    tokens = DiffTokens(result.tokens[None].to(parts.backbone.device), request.settings.token_space)
    images = apply_differences(
        parts.backbone,
        [pair.a],
        [pair.prompt_a],
        [(tokens, 1.0)],
        editor,
        settings,
        lambda step, _steps: meter.step(step),
    )
    return images[0]


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


class _Applier:
    """One application: its models, and the batches of its pictures."""

    def __init__(
        self,
        request: ApplyRequest,
        plan: ApplicationPlan,
        device: str,
        models: Models,
        meter: Meter,
    ) -> None:
        self.request, self.plan, self.device = request, plan, device
        self.models, self.meter = models, meter
        self.backbone: Backbone = models.get(plan.backbone, device)
        for difference, _ in plan.differences:
            difference.check_backbone(self.backbone.id, self.backbone.weights_id)
        self.editor = models.get(plan.editor, device)
        self.tokens = [(self._tokens(d), weight) for d, weight in plan.differences]
        self.room = sum(t.values.shape[1] for t, _ in self.tokens if t.space == "input")
        self.failures: list[str] = []
        if request.prompt_b is not None:
            self._check_prompt(request.prompt_b)

    def run(self) -> ApplicationReport:
        """All batches; a report of what was written and what failed."""
        batches = list(_batches(self.plan.targets, max(1, self.request.batch)))
        self.meter.phase(APPLYING, len(batches) * self.request.settings.steps)
        outputs = [out for i, batch in enumerate(batches) for out in self._batch(i, batch)]
        return ApplicationReport(tuple(outputs), tuple(self.failures))

    def _batch(self, index: int, batch: Sequence[tuple[Path, Path]]) -> list[AppliedImage]:
        started = time.perf_counter()
        opened = [(*target, *one) for target in batch if (one := self._open(target[0]))]
        if not opened:
            return []
        prompts = self._prompts([image for *_, image, _ in opened], [p for *_, p in opened])
        results = self._apply(index, [image for *_, image, _ in opened], prompts)
        done = []
        for (source, target, *_), image in zip(opened, results, strict=True):
            save_png(image, target)
            done.append((source, target))
        seconds = (time.perf_counter() - started) / len(done)
        return [AppliedImage(source, target, seconds) for source, target in done]

    def _open(self, picture: Path) -> tuple[Image, str | None] | None:
        """B at the backbone's size with its prompt, if it has one; None where it failed."""
        try:
            image = fit_square(open_image(picture), self.backbone.resolution)
            prompt = self._given_prompt(picture)
        except DiffinvError as error:
            self.failures.append(str(error))
            return None
        return image, prompt

    def _given_prompt(self, picture: Path) -> str | None:
        if self.request.prompt_b is not None:
            return self.request.prompt_b
        prompt = _text_beside(picture)
        if prompt:
            self._check_prompt(prompt)
        elif self.plan.captioner is None:
            raise UsageError(
                f"The backbone {self.backbone.id!r} names no captioner: say with --prompt-b, or in "
                f"{picture.with_suffix('.txt').name!r} beside it, what {str(picture)!r} shows."
            )
        return prompt

    def _check_prompt(self, prompt: str) -> None:
        from ..method.application import check_budget

        check_budget(self.backbone, [prompt], [tokens for tokens, _ in self.tokens])

    def _prompts(self, images: Sequence[Image], given: Sequence[str | None]) -> list[str]:
        """The given prompts, and captions for the pictures that have none."""
        bare = [image for image, prompt in zip(images, given, strict=True) if not prompt]
        if not bare or self.request.prompt_b is not None:
            return [prompt or "" for prompt in given]
        assert self.plan.captioner is not None
        captioner: Captioner = self.models.get(self.plan.captioner, self.device)
        captions = iter(captioner.caption(bare))
        return [
            prompt or shorten(next(captions), self.backbone, self.room, self.meter)
            for prompt in given
        ]

    def _apply(self, index: int, images: list[Image], prompts: list[str]) -> list[Image]:
        from ..method.application import apply_differences

        steps = self.request.settings.steps

        def on_step(step: int, total: int) -> None:
            self.meter.step(index * steps + step * steps // max(1, total))

        return apply_differences(
            self.backbone,
            images,
            prompts,
            self.tokens,
            self.editor,
            self.request.settings,
            on_step,
        )

    def _tokens(self, difference: Difference) -> DiffTokens:
        import torch

        from ..method.conditioning import DiffTokens

        values = torch.from_numpy(difference.tokens.copy())[None].float()
        space = cast("TokenSpace", difference.info.token_space)
        return DiffTokens(values.to(self.backbone.device), space)


def _text_beside(picture: Path) -> str | None:
    """The text of the ``.txt`` file beside a picture, None where there is none."""
    path = picture.with_suffix(".txt")
    if not path.is_file():
        return None
    try:
        return " ".join(path.read_text(encoding="utf-8").split()) or None
    except (OSError, UnicodeDecodeError) as error:
        raise DiffinvError(f"The prompt file {str(path)!r} cannot be read as text.") from error


def _by_two(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _batches(
    targets: Sequence[tuple[Path, Path]], size: int
) -> Iterator[Sequence[tuple[Path, Path]]]:
    for start in range(0, len(targets), size):
        yield targets[start : start + size]
