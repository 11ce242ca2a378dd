"""``diffinv library``: the differences that were learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import json_option
from .output import complain, print_fields, print_json, print_table

if TYPE_CHECKING:
    from ..difference import DifferenceInfo
    from ..library.store import Library


@click.group()
def library() -> None:
    """List and show the differences in the library."""


@library.command("list")
@json_option
def list_differences(as_json: bool) -> None:
    """Every difference in the library; damaged files with what is wrong with them."""
    entries = _library().entries()
    if as_json:
        print_json([_as_dict(e.name, e.path, e.info, e.error) for e in entries])
    elif not entries:
        complain("The library is empty: 'diffinv demo' or 'diffinv invert' puts something in.")
    else:
        rows = [(entry.name, *_columns(entry.info, entry.error)) for entry in entries]
        print_table(("NAME", "BACKBONE", "LEARNED", "FROM → TO"), rows)


@library.command("show")
@click.argument("name")
@json_option
def show_difference(name: str, as_json: bool) -> None:
    """Everything that is recorded of one difference, found by its name or its file."""
    from ..difference import read_info

    path = _library().find(name)
    info = read_info(path)
    if as_json:
        print_json(_as_dict(info.name, path, info, None))
    else:
        print_fields(_fields(path, info))


def _library() -> Library:
    from ..library.store import Library
    from ..paths import library_folder

    return Library(library_folder())


def _columns(info: DifferenceInfo | None, error: str | None) -> tuple[str, str, str]:
    if info is None:
        return "", "", error or ""
    change = " → ".join(info.captions[0]) if info.captions else info.description
    return info.backbone, info.date[:16].replace("T", " "), change


def _as_dict(
    name: str, path: Path, info: DifferenceInfo | None, error: str | None
) -> dict[str, Any]:
    """The info's own fields, with the file's path; ``error`` only where the file is damaged."""
    known = {key: value for key, value in vars(info).items() if key != "extra"} if info else {}
    return {**known, "name": name, "path": str(path), **({"error": error} if error else {})}


def _fields(path: Path, info: DifferenceInfo) -> list[tuple[str, str]]:
    fields = [("name", info.name), ("file", str(path.absolute())), ("learned", info.date)]
    fields += [("backbone", f"{info.backbone} (weights {info.backbone_weights})")]
    fields += [
        ("delta encoder", info.delta_encoder),
        ("captioner", info.captioner),
        ("prompter", info.prompter),
        ("tokens", f"{info.token_count} x {info.token_width}, {info.token_space}"),
        ("tags", ", ".join(info.tags)),
    ]
    for title, pairs in (("caption", info.captions), ("prompt", info.prompts)):
        for before, after in pairs:
            fields += [(f"{title} of A", before), (f"{title} of A′", after)]
    fields += [("settings", ", ".join(f"{k} {v}" for k, v in info.settings.items()))]
    fields += [("device", f"{info.device}, {info.dtype}"), ("seconds", f"{info.seconds:.1f}")]
    fields += [("versions", ", ".join(f"{k} {v}" for k, v in info.versions.items()))]
    fields += [("warning", warning) for warning in info.warnings]
    fields += [("sha256", info.hash_sha256)]
    return [(name, value) for name, value in fields if value]
