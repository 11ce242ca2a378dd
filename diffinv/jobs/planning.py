"""Finds everything wrong with a request before a model is loaded. Nothing here imports torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from ..contracts import BackboneSpec, Use
from ..difference import Added, Difference
from ..engines import engine_of
from ..errors import DiffinvError, UsageError
from ..method.settings import (
    MAX_RESULTS,
    MAX_SEED,
    check_application_settings,
    check_settings,
)
from ..pictures.formats import format_of, suffix_for
from ..pictures.glimpses import glimpse
from ..pictures.masks import MASKS, Masks
from ..pictures.reading import list_images, open_image, passed_over, why_not_read
from ..pictures.sizes import checked_detail, checked_size
from ..plugins.loading import registry
from ..plugins.model_states import ModelState, require_models
from ..plugins.registry import Registry
from ..running.additions import check_alike, written_down
from ..running.devices import find_device
from ..running.lesson import Lesson, read_lesson
from ..running.parts import (
    Part,
    application_backbone,
    backbone_part,
    named_part,
    part_id,
    suited_part,
)
from ..running.progress import AppliedImage
from ..storage.names import checked_name
from ..storage.store import Library
from ..system.files import numbered, staged_name
from ..system.paths import library_folder
from ..system.text import path_text, plural, text_safe
from .manifest import Manifest, application_key
from .model_checks import missing_for, unsuited_for
from .requests import ApplyRequest, InvertRequest
from .sweeping import strength_folder, strengths_asked

MOST_PAIRS = 2
"""How many pairs are shown to the backbone before anything starts."""

_NAMED = 5
"""How many of the files that are left out are named."""


@dataclass(frozen=True)
class InversionPlan:
    """An InvertRequest whose files, ids and folders have been checked. ``unsuited`` says why the
    backbone will make little of these pictures."""

    lesson: Lesson
    library: Library
    backbone: Part
    delta_encoder: Part
    captioner: Part | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unsuited: tuple[str, ...] = ()


@dataclass(frozen=True)
class Round:
    """What is to be done with one seed, the differences each at one strength.

    ``targets`` are (B, where its B' goes) for every picture left to do, whether it opens or not;
    ``done`` are the results of an earlier run with the same request.
    """

    seed: int
    differences: tuple[tuple[Difference, float], ...]
    manifest: Manifest
    targets: tuple[tuple[Path, Path], ...]
    done: tuple[AppliedImage, ...]


@dataclass(frozen=True)
class ApplicationPlan:
    """An ApplyRequest whose differences, ids and folders have been checked: a round for each seed
    and each strength of a sweep. ``added`` is what is added to the backbone, without its place.
    ``left_out`` says which files of the folders are no pictures, ``unsuited`` why the backbone will
    make little of them. ``missing`` are models that are not here and without which less is
    done."""

    differences: tuple[tuple[Difference, float], ...]
    rounds: tuple[Round, ...]
    backbone: Part
    added: tuple[Added, ...]
    editor: Part
    captioner: Part | None
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unsuited: tuple[str, ...] = ()
    missing: tuple[ModelState, ...] = ()

    @property
    def targets(self) -> tuple[tuple[Path, Path], ...]:
        """Those of all rounds."""
        return tuple(target for one in self.rounds for target in one.targets)

    @property
    def done(self) -> tuple[AppliedImage, ...]:
        """What earlier runs did of all rounds."""
        return tuple(result for one in self.rounds for result in one.done)

    @property
    def count(self) -> tuple[int, int]:
        """How many results earlier runs made, and how many there will be in all."""
        return len(self.done), len(self.done) + len(self.targets)


def plan_inversion(request: InvertRequest) -> InversionPlan:
    """Check an InvertRequest. Raises DiffinvError or UsageError for the first problem."""
    check_settings(request.settings)
    device = find_device(request.device)
    backbone, delta_encoder, captioner = inversion_parts(request)
    assert isinstance(backbone.spec, BackboneSpec)
    lesson = read_lesson(name_of(request), request.pairs, request.captions, request.tags)
    library = open_library(request.library)
    _refuse_taken(request, library)
    require_models(
        (part.spec, part.weights) for part in (backbone, captioner, delta_encoder) if part
    )
    brought = getattr(delta_encoder.spec, "text_projection", False)
    use = Use(
        backbone.weights,
        device.key,
        request.memory,
        learning=True,
        text_projection=brought,
        additions=backbone.additions,
    )
    pictures = [glimpse(picture) for pair in lesson.pictures[:MOST_PAIRS] for picture in pair]
    return InversionPlan(
        lesson=lesson,
        library=library,
        backbone=backbone,
        delta_encoder=delta_encoder,
        captioner=captioner,
        warnings=(*lesson.warnings, *device.warnings),
        notes=registry().preflight(backbone.spec, use),
        unsuited=registry().unsuited(backbone.spec, pictures),
    )


def inversion_parts(request: InvertRequest) -> tuple[Part, Part, Part | None]:
    """The backbone, the delta encoder and the captioner, None if captions are given."""
    parts = registry()
    backbone = backbone_part(parts, request.backbone, request.additions)
    assert isinstance(backbone.spec, BackboneSpec)
    delta_encoder = suited_part(
        parts, "delta encoder", request.delta_encoder, backbone.spec, backbone.spec.delta_encoder
    )
    captioner = None
    if not request.captions:
        captioner = suited_part(
            parts, "captioner", request.captioner, backbone.spec, backbone.spec.captioner
        )
    return backbone, delta_encoder, captioner


def plan_application(request: ApplyRequest, resumed: bool = False) -> ApplicationPlan:
    """Check an ApplyRequest. A picture that does not open is an error only if it is the only one.

    ``resumed``: a request that replaces results was started before, and keeps the ones it made.
    """
    check_application_settings(request.settings)
    _check_results(request)
    checked_detail(request.detail, checked_size(request.size))
    engine_of(request.on)
    format_of("", request.format)
    device = find_device(request.device)
    library = Library(request.library or library_folder())
    differences = tuple((library.load(name), weight) for name, weight in request.differences)
    if not differences:
        raise UsageError("Name at least one difference to apply.")
    parts = registry()
    named = [difference for difference, _ in differences]
    backbone = application_backbone(parts, request.backbone, named[0], request.additions)
    assert isinstance(backbone.spec, BackboneSpec)
    for difference in named:
        _check_backbone_id(difference, backbone.spec.id)
    added = written_down(backbone.additions)
    check_alike(named, added)
    editor = named_part(parts, "editor", request.settings.editor)
    captioner = _application_captioner(parts, request, backbone)
    choice = [part_id(part) for part in (backbone, editor, captioner)]
    rounds = _rounds(request, differences, choice, fresh=request.replace and not resumed)
    left = list(dict.fromkeys(picture for one in rounds for picture, _ in one.targets))
    failures = _check_some_open(left, alone=not any(one.done for one in rounds))
    check_writable(request.out)
    if len(failures) == len(left):
        rounds, left = tuple(replace(one, targets=()) for one in rounds), []
    missing = missing_for(request, differences, backbone, captioner, left)
    pictures = max(len(one.done) + len(one.targets) for one in rounds)
    pictures = request.batch if request.fill else min(max(1, request.batch), pictures)
    use = Use(
        backbone.weights,
        device.key,
        request.memory,
        pictures=pictures,
        additions=backbone.additions,
    )
    return ApplicationPlan(
        differences=differences,
        rounds=rounds,
        backbone=backbone,
        added=added,
        editor=editor,
        captioner=captioner,
        failures=() if left else failures,
        warnings=device.warnings,
        left_out=tuple(_left_out(request)),
        notes=parts.preflight(backbone.spec, use) if left else (),
        unsuited=unsuited_for(request, backbone.spec, left),
        missing=tuple(missing),
    )


def _check_results(request: ApplyRequest) -> None:
    if not 1 <= request.results <= MAX_RESULTS:
        raise UsageError(
            f"A picture has 1 to {MAX_RESULTS} results (--results), not {request.results}.",
            neutral=f"A picture has 1 to {MAX_RESULTS} results, not {request.results}.",
        )
    if request.settings.seed + request.results - 1 > MAX_SEED:
        said = f"The last seed would be above {MAX_SEED}; choose a smaller"
        raise UsageError(f"{said} --seed.", neutral=f"{said} seed.")


def _rounds(
    request: ApplyRequest,
    differences: Sequence[tuple[Difference, float]],
    parts: Sequence[str],
    fresh: bool,
) -> tuple[Round, ...]:
    """One for each seed and each strength of a sweep. No two results of all of them share a
    file."""
    masks, inputs = _masks(request), find_inputs(request)
    taken: set[str] = set()
    rounds = []
    seeds = range(request.settings.seed, request.settings.seed + request.results)
    for strengths, seed in product(strengths_asked(request), seeds):
        folder = strength_folder(strengths) if request.sweep else ""
        loaded = (difference for difference, _ in differences)
        made = tuple(zip(loaded, strengths, strict=True))
        key = application_key(request, seed, made, parts)
        manifest = Manifest(request.out / folder, key, fresh, masks)
        found = [(picture, relative, manifest.done(picture)) for picture, relative in inputs]
        done = tuple(result for *_, result in found if result)
        left = [
            (picture, folder / (_by_seed(relative, seed) if request.results > 1 else relative))
            for picture, relative, result in found
            if result is None
        ]
        targets = tuple(plan_outputs(request, left, taken))
        rounds.append(Round(seed, made, manifest, targets, done))
    return tuple(rounds)


def _by_seed(relative: Path, seed: int) -> Path:
    """``beach.jpg`` as ``beach-seed3.jpg``."""
    return relative.with_name(f"{relative.stem}-seed{seed}{relative.suffix}")


def _masks(request: ApplyRequest) -> Masks | None:
    if request.mask is None:
        return None
    masks = Masks(request.mask, [path for path in request.images if path.is_dir()])
    masks.check()
    return masks


def _left_out(request: ApplyRequest) -> Iterator[str]:
    """One sentence for each folder in which something is not a picture that can be read."""
    for folder in request.images:
        if folder.is_dir() and (sentence := _passed_over(folder, request.out)):
            yield sentence


def _passed_over(folder: Path, out: Path) -> str:
    files = [path for path in passed_over(folder) if not _is_result(path, folder, out)]
    if not files:
        return ""
    some = [f"{text_safe(path.name)} ({why_not_read(path)})" for path in files[:_NAMED]]
    more = [f"and {len(files) - _NAMED} more"] if len(files) > _NAMED else []
    are = "is" if len(files) == 1 else "are"
    return (
        f"{plural(len(files), 'file')} in {path_text(folder)} {are} left out: "
        f"{', '.join([*some, *more])}."
    )


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written to. Leaves nothing behind."""
    place = folder.absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        probe = place / staged_name()
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DiffinvError(f"The folder {str(folder)!r} cannot be written to: {reason}.") from error


def open_library(folder: Path | None) -> Library:
    """The library, after checking that it can be written to."""
    folder = folder or library_folder()
    check_writable(folder)
    return Library(folder)


def plan_outputs(
    request: ApplyRequest, inputs: Sequence[tuple[Path, Path]], taken: set[str]
) -> Iterator[tuple[Path, Path]]:
    """Each B with the file for its B', of the name that stands beside it. None is among those
    ``taken``, to which they are added, and existing files are not used unless the request replaces
    them."""
    for picture, relative in inputs:
        wanted = request.out / relative.with_suffix(suffix_for(relative.suffix, request.format))
        for output in numbered(wanted):
            is_free = request.replace or not os.path.lexists(output)
            if is_free and str(output).casefold() not in taken:
                break
        taken.add(str(output).casefold())
        yield picture, output


def find_inputs(request: ApplyRequest) -> list[tuple[Path, Path]]:
    """Every B with its path relative to the folder the user named, or its bare name."""
    return list(_inputs(request))


def _inputs(request: ApplyRequest) -> Iterator[tuple[Path, Path]]:
    found: dict[Path, Path] = {}
    for image in request.images:
        if not image.is_dir():
            found.setdefault(image, Path(image.name))
            continue
        inside = [path for path in list_images(image) if not _is_ours(path, image, request)]
        if not inside:
            why = _passed_over(image, request.out)
            raise UsageError(f"There are no pictures in the folder {str(image)!r}. {why}".strip())
        for path in inside:
            found.setdefault(path, path.relative_to(image))
    yield from found.items()


def _is_ours(path: Path, folder: Path, request: ApplyRequest) -> bool:
    """Whether a picture in a folder is a result or a mask."""
    places = [request.out, *([request.mask] if request.mask else [])]
    places += [request.out / MASKS] if request.save_masks else []
    return any(_is_result(path, folder, place) for place in places)


def _is_result(path: Path, folder: Path, out: Path) -> bool:
    """Whether a picture is in the results' folder, when that is inside the pictures' folder."""
    results, root = out.absolute(), folder.absolute()
    return (
        results != root and results.is_relative_to(root) and path.absolute().is_relative_to(results)
    )


def _check_some_open(pictures: Sequence[Path], alone: bool) -> tuple[str, ...]:
    """The errors of the first pictures, up to one that opens. A single picture's error is raised if
    it is ``alone``."""
    failures = []
    for picture in pictures:
        try:
            open_image(picture)
            break
        except DiffinvError as error:
            if alone and len(pictures) == 1:
                raise
            failures.append(str(error))
    return tuple(failures)


def _application_captioner(parts: Registry, request: ApplyRequest, backbone: Part) -> Part | None:
    """None if no captioner is needed or none is known: the pictures may have their .txt."""
    assert isinstance(backbone.spec, BackboneSpec)
    wanted = request.captioner or backbone.spec.captioner
    if request.prompt_b is not None or wanted is None:
        return None
    return suited_part(parts, "captioner", wanted, backbone.spec, None)


def name_of(request: InvertRequest) -> str:
    """What a difference will be called: the name asked for, or one made from the files' names."""
    if request.name is not None:
        checked_name(request.name)
        return request.name
    stems = [path.stem for path in request.pairs[0]] if request.pairs else []
    return "-to-".join(stems).replace(":", " ")  # a colon would begin a strength


def _refuse_taken(request: InvertRequest, library: Library) -> None:
    if request.name is None or request.free_name:
        return
    if _is_taken(library, request.name):
        said = f"The library already has a difference {request.name!r}; choose another"
        raise UsageError(f"{said} --name.", neutral=f"{said} name.")


def _is_taken(library: Library, name: str) -> bool:
    try:
        library.find(name)
    except UsageError:
        return False
    return True


def _check_backbone_id(difference: Difference, backbone: str) -> None:
    made_for = difference.info.backbone
    if made_for != backbone and not difference.info.is_words:
        raise UsageError(
            f"The difference {difference.info.name!r} was made for the backbone {made_for!r} "
            f"and cannot be applied with {backbone!r}."
        )
