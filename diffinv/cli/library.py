"""``diffinv library``: the differences that were learned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import PATH, json_option
from .output import complain, print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from ..difference import DifferenceInfo
    from ..library.store import Library
    from ..library.transfer import Exported, Format


@click.group()
def library() -> None:
    """List, show, export and import the differences in the library."""


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


@library.command("export")
@click.argument("name")
@click.option(
    "--format",
    type=click.Choice(["safetensors", "textual-inversion", "a1111", "comfyui"]),
    default="safetensors",
    show_default=True,
    help="Its own file, or a textual inversion for diffusers, A1111 or ComfyUI.",
)
@click.option("--out", type=PATH, metavar="FILE", help="File or folder; default: right here.")
@click.option("--replace", is_flag=True, help="Replace files that exist.")
@json_option
def export_difference(
    name: str, format: Format, out: Path | None, replace: bool, as_json: bool
) -> None:
    """Write a difference as a file for others, with a preview picture beside it."""
    from ..library.transfer import export

    done = export(_library(), name, format, out, replace)
    if as_json:
        print_json(vars(done))
        return
    for path in (done.file, done.negative, done.preview):
        if path:
            say(str(path))
    if done.token:
        complain(_how_to_use(format, done))


@library.command("import")
@click.argument("file", type=PATH)
@click.option("--name", metavar="N", help="What to call it; default: its own name.")
@click.option("--backbone", metavar="ID", help="For a textual inversion that fits several.")
@json_option
def import_difference(file: Path, name: str | None, backbone: str | None, as_json: bool) -> None:
    """Take a difference file, or a textual-inversion file, into the library."""
    from ..library.transfer import import_file

    entry = import_file(_library(), file, name, backbone)
    if as_json:
        print_json(_as_dict(entry.name, entry.path, entry.info, None))
    else:
        say(f"Imported {entry.name!r}: {entry.path}")


def _how_to_use(format: Format, done: Exported) -> str:
    """Where other programs want the file, and how a prompt calls it."""
    if format == "a1111":
        return f"Put it into 'embeddings' and write {done.token} behind the prompt."
    if format == "comfyui":
        return f"Put it into 'models/embeddings' and write embedding:{done.token}."
    if len(done.keys) > 1:
        keys = " and ".join(done.keys)
        return f"Load {keys} each with load_textual_inversion, for its own text encoder."
    return f"Load it with load_textual_inversion(FILE, token='<{done.token}>')."


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
