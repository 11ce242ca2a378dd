"""Places on the command line that are paths or addresses, and the copies work is done on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..system.remote import is_address
from ..system.text import plural
from .output import complain

if TYPE_CHECKING:
    from ..jobs.requests import ApplyRequest, Request
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


def brought(images: Sequence[Place], out: Place, mask: Place | None, save_masks: bool) -> Here:
    """Fetch what is elsewhere. Raises DiffinvError if that cannot be had."""
    mirrors: list[Mirror] = []
    apart = partial(_apart, out, mask, save_masks)
    pictures = tuple(_picture(image, apart, mirrors) for image in images)
    masks = None if mask is None else _picture(mask, list, mirrors)
    folder = out if isinstance(out, Path) else _results(out, mirrors)
    found = dict.fromkeys((one.folder, one.address) for one in mirrors)
    return Here(pictures, folder, masks, tuple(found))


def _apart(out: Place, mask: Place | None, save_masks: bool) -> list[str]:
    from ..jobs.elsewhere import apart

    results, masks = (one if isinstance(one, str) else None for one in (out, mask))
    return apart(results, masks, save_masks)


def _picture(place: Place, apart: Callable[[], list[str]], mirrors: list[Mirror]) -> Path:
    if isinstance(place, Path):
        return place
    from ..jobs.elsewhere import bring_picture

    complain(f"Fetching {place}.")
    path, mirror, count = bring_picture(place, apart())
    complain(f"{plural(count, 'file')} fetched." if count else "Nothing has changed there.")
    mirrors.append(mirror)
    return path


def _results(address: str, mirrors: list[Mirror]) -> Path:
    from ..jobs.sending import results_at

    results = results_at(address)
    results.sync()
    mirrors.append(results.mirror)
    return results.mirror.folder


def places(request: Request) -> Callable[[Path], str]:
    """What names a path as the user knows it: the address, if it is there."""
    from ..jobs.requests import ApplyRequest

    if not isinstance(request, ApplyRequest) or not request.mirrors:
        return str
    from ..jobs.sending import results_of

    results = results_of(request)

    def shown(path: Path) -> str:
        for folder, address in request.mirrors:
            if not path.is_relative_to(folder):
                continue
            if not (results and folder == request.out and results.is_unsent(path)):
                return f"{address}/{path.relative_to(folder).as_posix()}"
        return str(path)

    return shown


def send_rest(request: ApplyRequest) -> list[str]:
    """Send what an earlier run could not, where there is nothing left to make; what is in the
    way."""
    if not request.mirrors:
        return []
    from ..jobs.sending import results_of

    elsewhere = results_of(request)
    return elsewhere.finish() if elsewhere else []
