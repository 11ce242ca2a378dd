"""Pictures and results that are elsewhere, at addresses such as ``s3://bucket/photographs``.

Work is done on copies: pictures are fetched before, results are sent as soon as they are written.
A result's line in the list of results goes first, so that another machine can go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import DiffinvError
from ..pictures.masks import MASKS
from ..pictures.reading import SUFFIXES
from ..system.files import atomic_write
from ..system.mirrors import Mirror, is_file, mirror_of
from ..system.paths import cache_folder, data_folder
from ..system.text import path_text, plural, text_safe
from .manifest import FILE
from .requests import ApplyRequest

if TYPE_CHECKING:
    from .planning import ApplicationPlan

NAME = "elsewhere"
"""The folder of copies: those of pictures are in the cache, those of results are not."""

_READ = (*SUFFIXES, ".txt")


def bring_picture(address: str, but: str | None = None) -> tuple[Path, Mirror, int]:
    """Fetch a picture or a folder of them, with their prompts, but nothing at the address ``but``;
    where it is here, its mirror, and how many files were fetched. Raises DiffinvError."""
    below = cache_folder() / NAME
    if is_file(address):
        folder, _, name = address.rpartition("/")
        mirror, place = mirror_of(folder, below), PurePosixPath(name)
        count = sum(mirror.bring(one) for one in (place.with_suffix(".txt"), place))
        return mirror.here(place), mirror, count
    mirror = mirror_of(address, below)
    inside = f"{but.rstrip('/')}/" if but else None

    def wanted(place: PurePosixPath) -> bool:
        ours = inside is not None and f"{mirror.address}/{place}".startswith(inside)
        hidden = any(part.startswith(".") for part in place.parts)
        return place.name.lower().endswith(_READ) and not hidden and not ours

    count = mirror.fetch(wanted)
    if not mirror.folder.is_dir():
        raise DiffinvError(f"There are no pictures at {text_safe(address)!r}; check the address.")
    return mirror.folder, mirror, count


def bring_results(address: str) -> Mirror:
    """The folder for results at an address, with what is there and not here fetched, so that
    nothing is done twice and no name is taken twice. Raises DiffinvError."""
    mirror = mirror_of(address, data_folder() / NAME)
    _merge_lists(mirror)
    mirror.fetch(lambda place: True, again=False)
    return mirror


def _merge_lists(mirror: Mirror) -> None:
    """Have the lists of results say what another machine has made, and what this one has."""
    for listed in list(mirror.folder.rglob(FILE)):
        mine = listed.read_text(encoding="utf-8").splitlines()
        if mirror.bring(mirror.place(listed)):
            there = listed.read_text(encoding="utf-8").splitlines()
            lines = [*there, *(line for line in mine if line not in set(there))]
            atomic_write(listed, "".join(f"{line}\n" for line in lines).encode())


def bring_missing(request: ApplyRequest, pictures: Sequence[Path]) -> None:
    """Fetch what a machine that did not start the work has not got of some pictures, to the same
    paths, with their prompts and masks."""
    for mirror in _mirrors(request):
        if (
            request.mask
            and request.mask.is_relative_to(mirror.folder)
            and not request.mask.exists()
        ):
            mirror.fetch(lambda place: True, again=False)
        for picture in pictures:
            if picture.is_relative_to(mirror.folder) and not picture.exists():
                place = mirror.place(picture)
                mirror.bring(place.with_suffix(".txt"))
                mirror.bring(place)


def results_of(request: ApplyRequest) -> Results | None:
    """Where an application's results are sent, None if they stay here."""
    found = [mirror for mirror in _mirrors(request) if mirror.folder == request.out]
    return Results(found[0]) if found else None


def _mirrors(request: ApplyRequest) -> list[Mirror]:
    return [Mirror(folder, address) for folder, address in request.mirrors]


class Results:
    """Sends results. What cannot be sent now stays here, and the same command sends it."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._unsent = 0
        self._why = ""

    def send_missing(self, plan: ApplicationPlan) -> None:
        """Send what earlier runs made and could not send: the lists of results, the results and
        their masks. Raises DiffinvError."""
        lists = [one.manifest.path for one in plan.rounds]
        masks = [path for one in lists for path in (one.parent / MASKS).rglob("*.png")]
        files = [*lists, *masks, *(done.output for done in plan.done)]
        self._mirror.send_missing([path for path in files if path.is_file()])

    def send(self, *files: Path) -> None:
        """Send the files of one result."""
        try:
            for path in files:
                self._mirror.send(path)
        except DiffinvError as error:
            self._unsent += 1
            self._why = str(error)

    @property
    def failures(self) -> list[str]:
        """A sentence if not all was sent."""
        if not self._unsent:
            return []
        verb = "is" if self._unsent == 1 else "are"
        kept = f"{plural(self._unsent, 'result')} could not be sent and {verb} kept in"
        where = path_text(self._mirror.folder)
        return [f"{self._why} {kept} {where}; the same command sends what is left."]
