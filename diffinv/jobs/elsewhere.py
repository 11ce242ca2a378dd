"""Pictures that are elsewhere, at addresses such as ``s3://bucket/photographs``: work is done on
copies in the cache. Where results are sent: :mod:`diffinv.jobs.sending`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..errors import DiffinvError
from ..pictures.masks import MASKS
from ..pictures.reading import SUFFIXES
from ..system.mirrors import Mirror, is_file, mirror_of
from ..system.paths import cache_folder
from ..system.text import text_safe
from .requests import ApplyRequest

NAME = "elsewhere"
"""The folder of copies: those of pictures are in the cache, those of results are not."""

_READ = (*SUFFIXES, ".txt")


def bring_picture(address: str, but: Sequence[str] = ()) -> tuple[Path, Mirror, int]:
    """Fetch a picture or a folder of them, with their prompts, but nothing below the addresses
    ``but``; where it is here, its mirror, and how many files had to be fetched. Raises
    DiffinvError."""
    below = cache_folder() / NAME
    mirror = mirror_of(address, below)
    address = mirror.address
    if is_file(address):
        folder, _, name = address.rpartition("/")
        mirror = mirror_of(folder, below)
        picture = mirror.here(PurePosixPath(name))
        return picture, mirror, _bring(mirror, picture)
    count = _bring_all(mirror, but)
    if not mirror.places():
        raise DiffinvError(f"There are no pictures at {text_safe(address)!r}; check the address.")
    return mirror.folder, mirror, count


def _bring_all(mirror: Mirror, but: Sequence[str]) -> int:
    """Fetch the pictures and prompts of a folder, as folders here are looked through."""
    others = tuple(f"{one.rstrip('/')}/" for one in but if one.rstrip("/") != mirror.address)

    def is_read(place: PurePosixPath) -> bool:
        hidden = any(part.startswith(".") for part in place.parts)
        theirs = f"{mirror.address}/{place}".startswith(others)
        return place.name.lower().endswith(_READ) and not hidden and not theirs

    return mirror.fetch(is_read)


def _bring(mirror: Mirror, picture: Path) -> int:
    """Fetch one picture, after its prompt; how many files that were."""
    place = mirror.place(picture)
    return sum(mirror.bring(one) for one in (place.with_suffix(".txt"), place))


def bring_for(request: ApplyRequest, pictures: Sequence[Path]) -> None:
    """Have copies of some pictures here, with their prompts, as they are now: for a machine of a
    cluster, which did not start the work."""
    for mirror in mirrors_of(request):
        for picture in pictures:
            if picture.is_relative_to(mirror.folder):
                _bring(mirror, picture)


def bring_masks(request: ApplyRequest) -> None:
    """The same for the masks of all pictures."""
    for mirror in mirrors_of(request):
        if request.mask == mirror.folder:
            _bring_all(mirror, [])
        elif request.mask and request.mask.is_relative_to(mirror.folder):
            _bring(mirror, request.mask)


def bring_lost(request: ApplyRequest) -> None:
    """Fetch the pictures and masks of a request again whose copies were cleared away."""
    mirrors = mirrors_of(request)
    out = next((one.address for one in mirrors if one.folder == request.out), None)
    mask = next((one.address for one in mirrors if one.folder == request.mask), None)
    but = apart(out, mask, request.save_masks)
    for mirror in mirrors:
        for named in (*request.images, *([request.mask] if request.mask else [])):
            if named == mirror.folder and not named.exists():
                _bring_all(mirror, but if named in request.images else [])
            elif named.parent == mirror.folder and not named.exists():
                _bring(mirror, named)


def apart(out: str | None, mask: str | None, save_masks: bool) -> list[str]:
    """The addresses below which nothing is a B: those of results, of masks, and of masks that are
    saved."""
    saved = f"{out.rstrip('/')}/{MASKS}" if out and save_masks else None
    return [one for one in (out, mask, saved) if one]


def mirrors_of(request: ApplyRequest) -> list[Mirror]:
    """The folders whose copies a request names."""
    return [Mirror(folder, address) for folder, address in request.mirrors]
