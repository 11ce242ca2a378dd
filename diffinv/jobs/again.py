"""Makes a request out of what a result says of itself: the same once more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..contracts import Addition
from ..difference import Added
from ..errors import DiffinvError, UsageError
from ..method.settings import ApplicationSettings
from ..pictures.formats import SAME, format_of, provenance_in
from ..pictures.reading import read_with
from ..pictures.sizes import OFF
from ..running.additions import additions_again
from ..storage.store import Library
from ..system.files import sha256_of
from ..system.paths import library_folder
from ..system.text import path_text, text_safe
from .requests import ApplyRequest

_LEVELS = 4
"""How many folders above a result its picture is looked for."""


def provenance_of(result: Path) -> dict[str, Any]:
    """What a result says of how it was made. Raises DiffinvError if it says nothing."""
    found = read_with(result, provenance_in)
    if found is None:
        raise DiffinvError(
            f"{path_text(result)} does not say how it was made; only results of 'diffinv apply' "
            "do, and not with --no-provenance."
        )
    return found


def request_again(
    result: Path,
    pictures: Sequence[Path],
    out: Path | None,
    mask: Path | None,
    given: Sequence[Addition] = (),
) -> ApplyRequest:
    """The request that made a result, for the picture it was made from or for other ones.

    Its own picture is looked for in the folders around it, and then has the prompt and the batch it
    had, so that the same comes out, bit for bit, on the same machine. ``given`` says where what was
    added to the backbone is, if it is not where it was. Raises DiffinvError if the
    result does not say enough, or if its picture or difference is not there.
    """
    said = provenance_of(result)
    try:
        additions = _additions(said, result, given)
        request = _request(said, result, out or result.parent / "again", additions)
        name, digest = said["source"]["name"], said["source"]["sha256"]
        needs_mask = said.get("mask_file") and text_safe(said["mask_file"]["name"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DiffinvError(
            f"What {path_text(result)} says of how it was made is not whole; another program may "
            "have changed it. Apply the difference with 'diffinv apply'."
        ) from error
    if needs_mask and mask is None:
        raise UsageError(
            f"{path_text(result)} was made with the mask {needs_mask!r}; give it with --mask."
        )
    request = replace(request, mask=mask)
    if pictures:
        return replace(request, images=tuple(pictures), prompt_b=None, fill=False)
    return replace(request, images=(_source(result, str(name), str(digest)),))


def _additions(
    said: dict[str, Any], result: Path, given: Sequence[Addition]
) -> tuple[Addition, ...]:
    """What was added to the backbone, where it is now."""
    written = [
        Added(str(one["kind"]), str(one["name"]), str(one["sha256"]), float(one["weight"]))
        for one in said.get("additions", ())
    ]
    return additions_again(path_text(result), written, given)


def _request(
    said: dict[str, Any], result: Path, out: Path, additions: tuple[Addition, ...]
) -> ApplyRequest:
    known = {field.name for field in fields(ApplicationSettings)}
    before = {"reword": False}  # of results made before there was such a thing
    settings = ApplicationSettings(**before | {key: said[key] for key in known if key in said})
    wanted = format_of(result.suffix, SAME)
    own = format_of(Path(said["source"]["name"]).suffix, SAME)
    return ApplyRequest(
        differences=tuple(_difference(one) for one in said["difference"]),
        images=(),
        out=out,
        backbone=None,
        prompt_b=str(said["prompt"]),
        additions=additions,
        settings=settings,
        batch=int(said.get("batch", 1)),
        fill=True,
        size=str(said["size"]),
        detail=str(said.get("detail", OFF)),
        format=SAME if wanted == own else wanted,
        quality=int(said.get("quality", 95)),
        strip=bool(said.get("strip", False)),
    )


def _difference(said: dict[str, Any]) -> tuple[str, float]:
    """The file of a difference in the library, found by its checksum, and its strength."""
    digest, name = str(said["hash_sha256"]), str(said["name"])
    for entry in Library(library_folder()).search():
        if entry.info and entry.info.hash_sha256 == digest:
            return str(entry.path), float(said["strength"])
    raise DiffinvError(
        f"The difference {text_safe(name)!r} ({digest[:12]}…) is not in the library; import its "
        "file with 'diffinv library import'."
    )


def _source(result: Path, name: str, digest: str) -> Path:
    """The picture that a result was made from, if it is near and as it was."""
    for path in _near(result, Path(name).name):
        with contextlib.suppress(OSError, DiffinvError):
            if path.is_file() and sha256_of(path) == digest:
                return path
    raise DiffinvError(
        f"{path_text(result)} was made from {text_safe(name)!r}, which is in no folder nearby "
        "as it was then; name the picture: diffinv again RESULT PICTURE."
    )


def _near(result: Path, name: str) -> Iterator[Path]:
    """Where a picture may be whose result is in a folder beside, above or in its own."""
    place = result.absolute().parent
    for above in (place, *list(place.parents)[: _LEVELS - 1]):
        yield above / name
        below = place.relative_to(above).parts[1:]
        with contextlib.suppress(OSError):
            for folder in sorted(path for path in above.iterdir() if path.is_dir()):
                yield folder.joinpath(*below, name)
                yield folder / name
