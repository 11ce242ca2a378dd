"""Places on the command line that are paths or addresses, and the copies work is done on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..system.remote import is_address
from ..system.text import plural
from .output import complain

if TYPE_CHECKING:
    from ..jobs.planning import ApplicationPlan
    from ..jobs.requests import ApplyRequest
    from ..system.mirrors import Mirror

Place = Path | str
"""A path, or an address as text."""


class _Place(click.ParamType[Place]):
    name = "path"

    def convert(
        self, value: Place, param: click.Parameter | None, ctx: click.Context | None
    ) -> Place:
        """An address stays a text: a path would have one of its strokes less."""
        return value if isinstance(value, Path) or is_address(value) else Path(value)


PLACE = _Place()


@dataclass(frozen=True)
class Here:
    """What was named, as paths on this machine, and whose copies they are."""

    images: tuple[Path, ...]
    out: Path
    mask: Path | None
    mirrors: tuple[tuple[Path, str], ...]


def brought(images: Sequence[Place], out: Place, mask: Place | None) -> Here:
    """Fetch what is elsewhere. Raises DiffinvError if that cannot be had."""
    mirrors: list[Mirror] = []
    results = str(out) if isinstance(out, str) else None
    pictures = tuple(_picture(image, results, mirrors) for image in images)
    masks = None if mask is None else _picture(mask, results, mirrors)
    folder = out if isinstance(out, Path) else _results(out, mirrors)
    found = dict.fromkeys((one.folder, one.address) for one in mirrors)
    return Here(pictures, folder, masks, tuple(found))


def _picture(place: Place, results: str | None, mirrors: list[Mirror]) -> Path:
    if isinstance(place, Path):
        return place
    from ..jobs.elsewhere import bring_picture

    complain(f"Fetching {place}.")
    path, mirror, count = bring_picture(place, results)
    complain(f"{plural(count, 'file')} fetched." if count else "Nothing has changed there.")
    mirrors.append(mirror)
    return path


def _results(address: str, mirrors: list[Mirror]) -> Path:
    from ..jobs.elsewhere import bring_results

    mirrors.append(bring_results(address))
    return mirrors[-1].folder


def place_of(path: Path, request: ApplyRequest) -> str:
    """A path as the user knows it: in a copy, it is the address."""
    for folder, address in request.mirrors:
        if path.is_relative_to(folder):
            return f"{address}/{path.relative_to(folder).as_posix()}"
    return str(path)


def send_missing(request: ApplyRequest, plan: ApplicationPlan) -> None:
    """Send what an earlier run made and could not send, where there is nothing left to make."""
    if request.mirrors:
        from ..jobs.elsewhere import results_of

        elsewhere = results_of(request)
        if elsewhere:
            elsewhere.send_missing(plan)
