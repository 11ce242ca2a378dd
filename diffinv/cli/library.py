"""``diffinv library``: the learned differences."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..system.text import path_text
from .options import PATH, json_option
from .output import complain, print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from ..difference import DifferenceInfo
    from ..storage.exporting import Exported, Format
    from ..storage.store import Entry, Library, Sort

_SORTS = ("newest", "oldest", "name", "backbone")


_NAME = click.argument("name")


class _Search(click.Command):
    """``-tag:x`` and ``-word`` are parts of the query, not options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments, with such words moved after a ``--``."""
        excluding = [a for a in args if a[:1] == "-" and a[1:2] not in ("", "-") and a != "-h"]
        others = [a for a in args if a not in excluding]
        marker = [] if "--" in others else ["--"]
        return super().parse_args(ctx, [*others, *marker, *excluding])


@click.group()
def library() -> None:
    """List, find, show, name, tag, remove, export and import differences."""


@library.command("list")
@click.option("--sort", type=click.Choice(_SORTS), default="name", help="Default: name.")
@json_option
def list_differences(sort: Sort, as_json: bool) -> None:
    """Every difference in the library; for damaged files, what is wrong with them."""
    store = _library()
    entries = store.search(sort=sort)
    if not entries and _has_vanished(store.folder):
        complain(
            f"The library {path_text(store.folder)} is gone, with differences that jobs put there: "
            "mount its drive, or set DIFFINV_HOME to where it is."
        )
    elif not entries and not as_json:
        complain("The library is empty: 'diffinv demo' or 'diffinv invert' puts something in.")
    if entries or as_json:
        _print_entries(entries, as_json)


def _has_vanished(folder: Path) -> bool:
    """Whether a missing folder is known to have existed."""
    from ..jobs.store import JobStore
    from ..system.paths import data_folder

    if folder.exists() or not (data_folder() / "jobs.sqlite").exists():
        return False
    learned = (job.difference[1] for job in JobStore().jobs(["done"]) if job.difference)
    return any(path.parent == folder for path in learned)


@library.command("search", cls=_Search)
@click.argument("query", nargs=-1)
@click.option("--sort", type=click.Choice(_SORTS), default="newest", help="Default: newest.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most this many.")
@json_option
def search(query: tuple[str, ...], sort: Sort, limit: int | None, as_json: bool) -> None:
    """Find differences by words in their name, tags, captions, prompts or backbone.

    tag:build and backbone:sd match the beginning, tag:"old town" the whole; created:>2026-01 and
    the like match a date; is:duplicate and is:damaged what they say. -tag:x and -word exclude.
    """
    from ..storage.query import parse

    text = " ".join(query)
    parse(text)  # for its errors, even where there is nothing to search
    entries = _library().search(text, sort, limit)
    if not entries and (unknown := _unknown_filters(text)):
        complain(f"Nothing was found; {unknown}")
    elif not entries and not as_json:
        complain("Nothing was found.")
    if entries or as_json:
        _print_entries(entries, as_json)


def _unknown_filters(query: str) -> str | None:
    """A note where something looks like a filter but is not one."""
    from ..storage.query import FILTERS, unknown_filters

    unknown = dict.fromkeys(repr(key) for key in unknown_filters(query))
    if not unknown:
        return None
    verb = "is not a filter" if len(unknown) == 1 else "are not filters"
    known = f"{', '.join(FILTERS[:-1])} and {FILTERS[-1]}"
    return f"{' and '.join(unknown)} {verb}, the filters are {known}."


@library.command("show")
@_NAME
@json_option
def show_difference(name: str, as_json: bool) -> None:
    """Everything recorded about one difference, found by its name or its file."""
    print_difference(name, as_json)


def print_difference(name: str, as_json: bool) -> None:
    """Print everything recorded about a difference."""
    store = _library()
    path = store.find(name)
    info = store.info(path)
    if as_json:
        print_json(_as_dict(info.name, path, info, None))
        return
    if sys.stdout.isatty():
        from .drawing import draw_pair

        draw_pair(path)
    print_fields(_fields(path, info))


@library.command("rename")
@_NAME
@click.argument("new")
@json_option
def rename(name: str, new: str, as_json: bool) -> None:
    """Give a difference another name."""
    entry = _library().rename(name, new)
    _tell(entry, as_json, f"{name!r} is now {entry.name!r}.")


@library.command("tag")
@_NAME
@click.argument("tags", nargs=-1)
@click.option("--remove", multiple=True, metavar="TAG", help="A tag to take away; repeatable.")
@json_option
def tag(name: str, tags: tuple[str, ...], remove: tuple[str, ...], as_json: bool) -> None:
    """Add tags to a difference, or take some away."""
    entry = _library().set_tags(name, tags, remove)
    shown = ", ".join(entry.info.tags) if entry.info else ""
    _tell(entry, as_json, f"{entry.name!r} has the tags: {shown or 'none'}.")


@library.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
def remove(names: tuple[str, ...], as_json: bool) -> None:
    """Move differences to the library's trash."""
    store = _library()
    paths = dict.fromkeys(store.find(name) for name in names)
    removed = [(path.stem, store.trash(path)) for path in paths]
    if as_json:
        print_json([{"name": name, "trash_id": id} for name, id in removed])
        return
    for name, id in removed:
        say(f"{name!r} is in the trash; 'diffinv library restore {id}' brings it back.")


@library.command("restore")
@click.argument("trash_id", required=False)
@json_option
def restore(trash_id: str | None, as_json: bool) -> None:
    """Bring a difference back from the trash: the last one, or by its number or name."""
    entry = _library().restore(trash_id)
    _tell(entry, as_json, f"{entry.name!r} is back.")


@library.command("trash")
@json_option
def show_trash(as_json: bool) -> None:
    """What is in the library's trash."""
    items = _library().trashed()
    if as_json:
        print_json([vars(item) for item in items])
    elif not items:
        complain("The trash is empty.")
    else:
        print_table(("NUMBER", "NAME"), [(item.id, item.name) for item in items])


@library.command("verify")
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> None:
    """Read every file in full and say which are damaged. The exit code is 1 if any is."""
    store = _library()
    problems = store.verify()
    duplicates = [[entry.path.stem for entry in group] for group in store.duplicates()]
    if as_json:
        damaged = [{"name": name, "error": problem} for name, problem in problems]
        print_json({"damaged": damaged, "duplicates": duplicates})
    else:
        for name, problem in problems:
            say(f"{name}: {problem}")
        for names in duplicates:
            say(f"The same tensors: {', '.join(names)}")
        complain(f"{store.count()} files, {len(problems)} damaged.")
    if problems:
        ctx.exit(1)


def _print_entries(entries: list[Entry], as_json: bool) -> None:
    if as_json:
        print_json([_entry_dict(entry) for entry in entries])
    else:
        shown = _distinct_names(entries)
        rows = [
            (name, *_columns(entry.info, entry.error))
            for name, entry in zip(shown, entries, strict=True)
        ]
        print_table(("NAME", "BACKBONE", "LEARNED", "FROM → TO"), rows, cut=True)


def _distinct_names(entries: list[Entry]) -> list[str]:
    """The entries' names; where several share one, with their files' names."""
    counts = Counter(entry.name for entry in entries)
    return [e.name if counts[e.name] == 1 else f"{e.name} ({e.path.stem})" for e in entries]


def _tell(entry: Entry, as_json: bool, sentence: str) -> None:
    if as_json:
        print_json(_entry_dict(entry))
    else:
        say(sentence)


def _entry_dict(entry: Entry) -> dict[str, Any]:
    return _as_dict(entry.name, entry.path, entry.info, entry.error)


@library.command("export")
@_NAME
@click.option(
    "--format",
    type=click.Choice(["safetensors", "textual-inversion", "a1111", "comfyui"]),
    default="safetensors",
    show_default=True,
    help="Its own file, or a textual inversion for diffusers, A1111 or ComfyUI.",
)
@click.option(
    "--out",
    metavar="FILE",
    help="A file, or a folder, which is made if need be; default: the current one.",
)
@click.option("--replace", is_flag=True, help="Replace files that exist.")
@json_option
def export_difference(
    name: str, format: Format, out: str | None, replace: bool, as_json: bool
) -> None:
    """Write a difference as a file for others, with a preview picture beside it."""
    from ..storage.exporting import export

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
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--name", metavar="N", help="What to call a single file; default: its own name.")
@click.option("--backbone", metavar="ID", help="For a textual inversion that fits several.")
@json_option
def import_files(
    files: tuple[Path, ...], name: str | None, backbone: str | None, as_json: bool
) -> None:
    """Copy differences or textual inversions into the library, once all have been checked."""
    from ..storage import importing

    entries = importing.import_files(_library(), files, name, backbone)
    if as_json:
        print_json([_entry_dict(entry) for entry in entries])
    else:
        for entry in entries:
            say(f"Imported {entry.name!r}: {entry.path}")


def _how_to_use(format: Format, done: Exported) -> str:
    """Where other programs want the file, and how prompts refer to it."""
    if format == "a1111":
        return f"Put it into 'embeddings' and write {done.token} behind the prompt."
    if format == "comfyui":
        return f"Put it into 'models/embeddings' and write embedding:{done.token}."
    if len(done.keys) > 1:
        keys = " and ".join(done.keys)
        return f"Load {keys} each with load_textual_inversion, for its own text encoder."
    return f"Load it with load_textual_inversion(FILE, token='<{done.token}>')."


def _library() -> Library:
    from ..storage.store import Library
    from ..system.paths import library_folder

    return Library(library_folder())


def _columns(info: DifferenceInfo | None, error: str | None) -> tuple[str, str, str]:
    if info is None:
        return "", "", error or ""
    captions = " → ".join(info.captions[0]) if info.captions else ""
    change = info.change_in_words or captions or info.description
    return info.backbone, info.date[:16].replace("T", " "), change


def _as_dict(
    name: str, path: Path, info: DifferenceInfo | None, error: str | None
) -> dict[str, Any]:
    """The info's own fields, with the file's path; ``error`` only if the file is damaged."""
    known = {key: value for key, value in vars(info).items() if key != "extra"} if info else {}
    return {**known, "name": name, "path": str(path), **({"error": error} if error else {})}


def _scale(info: DifferenceInfo) -> str:
    scale = info.token_scale
    return f", {scale:.2f} of the hidden states' norm" if scale else ""


def _fields(path: Path, info: DifferenceInfo) -> list[tuple[str, str]]:
    from ..difference import added_in_words

    fields = [("name", info.name), ("file", str(path.absolute())), ("learned", info.date)]
    fields += [("backbone", f"{info.backbone} (weights {info.backbone_weights})")]
    fields += [("with", added_in_words(info.additions))]
    fields += [
        ("delta encoder", info.delta_encoder),
        ("captioner", info.captioner),
        ("prompter", info.prompter),
        ("tokens", f"{info.token_count} x {info.token_width}, {info.token_space}{_scale(info)}"),
        ("pooled", f"{info.pooled_width} wide" if info.pooled_width else ""),
        ("tags", ", ".join(info.tags)),
    ]
    fields += [("reads like", ", ".join(info.words_brought))]
    fields += [("takes away", ", ".join(info.words_taken))]
    for title, pairs in (("caption", info.captions), ("prompt", info.prompts)):
        for before, after in pairs:
            fields += [(f"{title} of A", before), (f"{title} of A′", after)]
    known = {k: v for k, v in info.settings.items() if v is not None}
    fields += [("settings", ", ".join(f"{k} {v}" for k, v in known.items()))]
    fields += [("device", f"{info.device}, {info.dtype}"), ("seconds", f"{info.seconds:.1f}")]
    fields += [("versions", ", ".join(f"{k} {v}" for k, v in info.versions.items()))]
    fields += [("warning", warning) for warning in info.warnings]
    fields += [("sha256", info.hash_sha256)]
    return [(name, value) for name, value in fields if value]
