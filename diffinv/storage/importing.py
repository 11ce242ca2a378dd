"""Imports differences into the library, from their own files and from textual-inversion files.

Everything is checked before anything is written, and several files are imported all or none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..difference import Difference, is_difference, load, to_bytes
from ..errors import DiffinvError, UsageError
from ..system.text import path_text
from .embeddings import read_embedding
from .names import checked_name, own_name

if TYPE_CHECKING:
    from .store import Entry, Library


_NAMED = 5
"""How many of the files that cannot be imported an error names."""


@dataclass(frozen=True)
class _Found:
    """A checked file. ``hash`` is that of its tensors as the library keeps them."""

    file: Path
    difference: Difference
    hash: str


def import_file(
    library: Library, file: Path, name: str | None = None, backbone: str | None = None
) -> Entry:
    """:func:`import_files` for one file."""
    return import_files(library, [file], name, backbone)[0]


def import_files(
    library: Library, files: Sequence[Path], name: str | None = None, backbone: str | None = None
) -> list[Entry]:
    """Add files of differences, or of textual inversions, to the library: all of them or none.

    ``name`` is for a single file, and must be free; without it a file keeps its own name.
    ``backbone`` says what a textual inversion is for if its widths fit several. Raises
    DiffinvError, saying what is wrong with each file, if one cannot be read or, without a ``name``,
    has tensors that the library already has.
    """
    if name is not None and len(files) > 1:
        raise UsageError("--name is for one file; import the others by themselves.")
    found, problems = [], []
    for file in files:
        try:
            found.append(_read(file, name, backbone))
        except DiffinvError as error:
            problems.append(error)
    _refuse([*problems, *_doubles(library, found, name)], len(files))
    with library.changing(make=True):
        if name is not None:
            library.refuse_taken(checked_name(name))
        _refuse(_doubles(library, found, name), len(files))  # another process may have been faster
        return library.add_all([f.difference for f in found], free_name=name is None)


def _read(file: Path, name: str | None, backbone: str | None) -> _Found:
    found = load(file) if is_difference(file) else read_embedding(file, file.stem, backbone)
    shown = path_text(file)
    title = own_name(found.info.name, shown) if name is None else checked_name(name)
    difference = dataclasses.replace(found, info=dataclasses.replace(found.info, name=title))
    return _Found(file, difference, to_bytes(difference)[1].hash_sha256)


def _doubles(library: Library, found: Sequence[_Found], name: str | None) -> list[DiffinvError]:
    """A message for each file that the library already has or that was named twice."""
    if name is not None:
        return []
    problems: list[DiffinvError] = []
    known = library.with_hashes([f.hash for f in found])
    first: dict[str, Path] = {}
    for one in found:
        shown = path_text(one.file)
        if same := known.get(one.hash):
            problems.append(
                UsageError(
                    f"{shown} is in the library already, as {same.name!r}; import it by itself "
                    "with another --name to keep both.",
                    neutral=f"{shown} is in the library already, as {same.name!r}.",
                )
            )
        elif one.hash in first:
            other = path_text(first[one.hash])
            problems.append(UsageError(f"{shown} is the same as {other}; name only one of them."))
        first.setdefault(one.hash, one.file)
    return problems


def _refuse(problems: Sequence[DiffinvError], count: int) -> None:
    if not problems:
        return
    if count == 1:
        raise problems[0]
    reasons = " ".join(map(str, problems[:_NAMED]))
    if len(problems) > _NAMED:
        reasons += f" {len(problems) - _NAMED} more cannot be imported either."
    raise DiffinvError(
        f"Nothing was imported, because {len(problems)} of {count} files cannot be imported: "
        f"{reasons}"
    )
