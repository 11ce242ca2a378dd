"""Finds everything wrong with a request before a model is loaded. Nothing here imports torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..contracts import BackboneSpec, Use
from ..difference import Difference
from ..errors import DiffinvError, UsageError
from ..method.settings import check_application_settings, check_settings
from ..pictures.formats import format_of, suffix_for
from ..pictures.masks import MASKS, Masks
from ..pictures.reading import list_images, open_image, passed_over, why_not_read
from ..pictures.sizes import checked_size
from ..plugins.loading import registry
from ..plugins.registry import Registry
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
from .requests import ApplyRequest, InvertRequest

_NAMED = 5
"""How many of the files that are left out are named."""


@dataclass(frozen=True)
class InversionPlan:
    """An InvertRequest whose files, ids and folders have been checked."""

    lesson: Lesson
    library: Library
    backbone: Part
    delta_encoder: Part
    captioner: Part | None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ApplicationPlan:
    """An ApplyRequest whose differences, ids and folders have been checked.

    ``targets`` are (B, where its B' goes) for every picture left to do, whether it opens or not;
    ``done`` are the results of an earlier run with the same request. ``left_out`` says which files
    of the folders are no pictures.
    """

    differences: tuple[tuple[Difference, float], ...]
    targets: tuple[tuple[Path, Path], ...]
    backbone: Part
    editor: Part
    captioner: Part | None
    manifest: Manifest
    done: tuple[AppliedImage, ...] = ()
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plan_inversion(request: InvertRequest) -> InversionPlan:
    """Check an InvertRequest. Raises DiffinvError or UsageError for the first problem."""
    check_settings(request.settings)
    device = find_device(request.device)
    parts = registry()
    backbone = backbone_part(parts, request.backbone)
    assert isinstance(backbone.spec, BackboneSpec)
    delta_encoder = suited_part(
        parts, "delta encoder", request.delta_encoder, backbone.spec, backbone.spec.delta_encoder
    )
    captioner = None
    if not request.captions:
        captioner = suited_part(
            parts, "captioner", request.captioner, backbone.spec, backbone.spec.captioner
        )
    lesson = read_lesson(_title(request), request.pairs, request.captions, request.tags)
    library = open_library(request.library)
    _refuse_taken(request, library)
    use = Use(backbone.weights, device.key, request.memory, learning=True)
    return InversionPlan(
        lesson=lesson,
        library=library,
        backbone=backbone,
        delta_encoder=delta_encoder,
        captioner=captioner,
        warnings=(*lesson.warnings, *device.warnings),
        notes=parts.preflight(backbone.spec, use),
    )


def plan_application(request: ApplyRequest, resumed: bool = False) -> ApplicationPlan:
    """Check an ApplyRequest. A picture that does not open is an error only if it is the only one.

    ``resumed``: a request that replaces results was started before, and keeps the ones it made.
    """
    check_application_settings(request.settings)
    checked_size(request.size)
    format_of("", request.format)
    device = find_device(request.device)
    library = Library(request.library or library_folder())
    differences = tuple((library.load(name), weight) for name, weight in request.differences)
    if not differences:
        raise UsageError("Name at least one difference to apply.")
    parts = registry()
    backbone = application_backbone(parts, request.backbone, differences[0][0])
    assert isinstance(backbone.spec, BackboneSpec)
    for difference, _ in differences:
        _check_backbone_id(difference, backbone.spec.id)
    editor = named_part(parts, "editor", request.settings.editor)
    captioner = _application_captioner(parts, request, backbone)
    choice = [part_id(part) for part in (backbone, editor, captioner)]
    key = application_key(request, differences, choice)
    masks = _masks(request)
    manifest = Manifest(request.out, key, request.replace and not resumed, masks)
    done, targets = _split_inputs(request, manifest)
    failures = _check_some_open([picture for picture, _ in targets], alone=not done)
    check_writable(request.out)
    if len(failures) == len(targets):
        targets = ()
    pictures = min(max(1, request.batch), len(done) + len(targets))
    use = Use(backbone.weights, device.key, request.memory, pictures=pictures)
    return ApplicationPlan(
        differences=differences,
        targets=targets,
        backbone=backbone,
        editor=editor,
        captioner=captioner,
        manifest=manifest,
        done=done,
        failures=() if targets else failures,
        warnings=device.warnings,
        left_out=tuple(_left_out(request)),
        notes=parts.preflight(backbone.spec, use) if targets else (),
    )


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
    request: ApplyRequest, inputs: Sequence[tuple[Path, Path]] | None = None
) -> Iterator[tuple[Path, Path]]:
    """Each B with the file for its B'. No two share a file, and existing files are not used unless
    the request replaces them."""
    taken: set[str] = set()
    for picture, relative in find_inputs(request) if inputs is None else inputs:
        wanted = request.out / relative.with_suffix(suffix_for(relative.suffix, request.format))
        for output in numbered(wanted):
            is_free = request.replace or not os.path.lexists(output)
            if is_free and str(output).casefold() not in taken:
                break
        taken.add(str(output).casefold())
        yield picture, output


def _split_inputs(
    request: ApplyRequest, manifest: Manifest
) -> tuple[tuple[AppliedImage, ...], tuple[tuple[Path, Path], ...]]:
    """What is already done, and what is left to do, with the file for each result."""
    done, left = [], []
    for picture, relative in find_inputs(request):
        if result := manifest.done(picture):
            done.append(result)
        else:
            left.append((picture, relative))
    return tuple(done), tuple(plan_outputs(request, left))


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


def _title(request: InvertRequest) -> str:
    """The name asked for, or one made from the files' names."""
    if request.name is not None:
        checked_name(request.name)
        return request.name
    stems = [path.stem for path in request.pairs[0]] if request.pairs else []
    return "-to-".join(stems).replace(":", " ")  # a colon would begin a strength


def _refuse_taken(request: InvertRequest, library: Library) -> None:
    if request.name is None or request.free_name:
        return
    if _is_taken(library, request.name):
        raise UsageError(
            f"The library already has a difference {request.name!r}; choose another --name."
        )


def _is_taken(library: Library, name: str) -> bool:
    try:
        library.find(name)
    except UsageError:
        return False
    return True


def _check_backbone_id(difference: Difference, backbone: str) -> None:
    made_for = difference.info.backbone
    if made_for != backbone:
        raise UsageError(
            f"The difference {difference.info.name!r} was made for the backbone {made_for!r} "
            f"and cannot be applied with {backbone!r}."
        )
