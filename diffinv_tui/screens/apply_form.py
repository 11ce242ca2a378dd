"""The further settings of Apply: each line, box and choice is named as the request's own field."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.widgets import Checkbox, Static

from diffinv.jobs.requests import ApplyRequest
from diffinv.method.settings import ApplicationSettings
from diffinv.pictures.formats import FORMATS, SAME
from diffinv.pictures.sizes import OFF, TILES

from ..formatting import number
from ..widgets.form import (
    AUTOMATIC,
    Field,
    choice,
    choose,
    chosen,
    number_typed,
    text_line,
    ticked,
    typed,
    write,
)

if TYPE_CHECKING:
    from textual.widget import Widget

Request = ApplyRequest | ApplicationSettings


@dataclass(frozen=True)
class Line:
    """A line: its label, what it means when it is empty, and what is read from it."""

    label: str
    empty: str
    kind: type[Any]


@dataclass(frozen=True)
class Box:
    """A box: its label, and what a tick says."""

    label: str
    says: str


LINES = {
    "results": Line("Results", "1 of each picture", int),
    "size": Line("Size", "the picture's; or model, 2048", str),
    "quality": Line("Quality", "95 of 100", int),
    "mask_file": Line("May change", "all; or a mask, or a folder", Path),
    "mask_grow": Line("Grow mask", "by 8 % of the longer side", float),
    "prompt_b": Line("{Picture_shows}", "as it is described", str),
    "negative_prompt": Line("Away from", "nothing", str),
    "steps": Line("Steps", number(ApplicationSettings().steps), int),
    "guidance_scale": Line("{How_closely}", number(ApplicationSettings().guidance_scale), float),
    "seed": Line("Seed", number(ApplicationSettings().seed), int),
    "batch": Line("At once", "8 pictures", int),
    "device": Line("Device", "the best there is", str),
}
BOXES = {
    "strip": Box("Leave out", "camera, time, place"),
    "provenance": Box("Say in it", "how it was made"),
    "replace": Box("Replace", "results that exist"),
    "mask": Box("Mask", "keeps the rest"),
    "reword": Box("Reword", "prompts to agree"),
    "save_masks": Box("Save masks", "beside the results"),
}
_GROUPS = (
    (
        "The results",
        ("results", "size", "detail", "format", "quality", "strip", "provenance", "replace"),
    ),
    ("Where", ("mask", "mask_grow", "mask_file", "save_masks")),
    (
        "How",
        (
            *("prompt_b", "captioner", "reword", "negative_prompt", "editor"),
            *("steps", "guidance_scale", "seed", "batch", "device"),
        ),
    ),
)
_LABELS = {"captioner": "{Describes_with}"}
_NAMES = {"mask_file": "mask"}
"""The fields of a request whose names are also those of settings."""

_DEFAULT: dict[str, Any] = {
    field.name: field.default
    for cls in (ApplyRequest, ApplicationSettings)
    for field in fields(cls)
} | {"mask_file": None}

Options = tuple[list[tuple[str, str]], str]
"""What can be chosen, as (shown, value), and what is."""


def further(choices: dict[str, Options], device: str) -> Iterator[Widget]:
    """All of it, in groups. ``choices`` are those of editor and captioner."""
    formats = [("As the picture", SAME), *((name.upper(), name) for name in FORMATS[1:])]
    details = [("As the model sees it", OFF), ("Made anew in tiles", TILES)]
    choices = {**choices, "format": (formats, SAME), "detail": (details, OFF)}
    for title, ids in _GROUPS:
        yield Static(title, classes="heading")
        for id in ids:
            if id in LINES:
                line = LINES[id]
                value = device if id == "device" else ""
                yield Field(line.label, text_line(id, line.empty, value))
            elif id in BOXES:
                box = BOXES[id]
                yield Field(box.label, Checkbox(box.says, _DEFAULT[id], id=id, compact=True))
            else:
                yield Field(_LABELS.get(id, id.capitalize()), choice(id, *choices[id]))


def read(form: Widget, device: str) -> tuple[ApplicationSettings, dict[str, Any]]:
    """The settings, and the other fields of a request, that the form asks for. Raises UsageError
    for a number that is none."""
    values: dict[str, Any] = {id: _read_line(form, id) for id in LINES if id != "device"}
    values |= {id: ticked(form, id, _DEFAULT[id]) for id in BOXES}
    values |= {
        "format": chosen(form, "format") or SAME,
        "detail": chosen(form, "detail") or OFF,
        "editor": chosen(form, "editor") or _DEFAULT["editor"],
        "captioner": chosen(form, "captioner") or None,
        "device": typed(form, "device", device) or None,
    }
    of_settings = {field.name for field in fields(ApplicationSettings)}
    settings = ApplicationSettings(**{name: values.pop(name) for name in of_settings})
    return settings, {_NAMES.get(id, id): value for id, value in values.items()}


def _read_line(form: Widget, id: str) -> Any:
    line = LINES[id]
    if line.kind is Path:
        text = typed(form, id)
        return Path(os.path.expanduser(text)) if text else None
    found = typed(form, id) or None
    if line.kind is not str:
        found = number_typed(form, id, line.label, line.kind)
    return _DEFAULT[id] if found is None else found


def show(form: Widget, request: ApplyRequest) -> list[str]:
    """Let the form ask for what a request asks for; the values that cannot be chosen."""
    wanted: dict[str, Any] = {**vars(request), "mask_file": request.mask, **vars(request.settings)}
    lines = {id: "" if wanted[id] in (None, _DEFAULT[id]) else str(wanted[id]) for id in LINES}
    write(form, lines)
    for id in BOXES:
        form.query_one(f"#{id}", Checkbox).value = wanted[id]
    choices = {"editor": wanted["editor"], "captioner": wanted["captioner"] or AUTOMATIC}
    choices |= {"format": wanted["format"], "detail": wanted["detail"]}
    return choose(form, choices)


def clear(form: Widget, device: str) -> None:
    """As it was at first, if it has been made."""
    if not form.query("#editor"):
        return
    show(form, replace(ApplyRequest((), (), Path()), device=device or None))
