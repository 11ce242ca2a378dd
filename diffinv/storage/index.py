"""The library's index: what the files' headers say, ready for searching.

The files are authoritative. Every query first compares the folder with the index by each file's
inode, time and size, and reads the headers of new or changed files; the index can be deleted at any
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from ..difference import SUFFIX, Added, DifferenceInfo, NotSafetensorsError, read_info
from ..errors import DiffinvError
from ..system.database import Database, MemoryDatabase
from ..system.paths import cache_folder
from ..system.text import natural_key, text_safe
from .query import Condition, parse

FILE = "index.sqlite"

_WORDS = "title, tags, captions, prompts, backbone"
_SCHEMA = f"""
    CREATE TABLE files (
        id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL,
        name TEXT NOT NULL, sorting TEXT NOT NULL, backbone TEXT NOT NULL, created TEXT NOT NULL,
        hash TEXT NOT NULL, text TEXT NOT NULL, info TEXT, error TEXT
    );
    CREATE INDEX by_created ON files (created, id);
    CREATE INDEX by_sorting ON files (sorting, file);
    CREATE INDEX by_hash ON files (hash);
    CREATE TABLE tags (file INTEGER NOT NULL, tag TEXT NOT NULL, folded TEXT NOT NULL);
    CREATE INDEX by_tag ON tags (folded, file);
    CREATE INDEX tags_by_file ON tags (file);
    CREATE VIRTUAL TABLE words USING fts5(
        {_WORDS},
        tokenize = 'unicode61 remove_diacritics 2', prefix = '1 2 3'
    )
"""
_IS_DUPLICATE = """
    f.hash != '' AND EXISTS (SELECT 1 FROM files g WHERE g.hash = f.hash AND g.id != f.id)
"""
_VERSION = 3
"""Part of the file's stamp: an index of another version is rebuilt."""

_LOOKED_AT = 1_000
"""Files compared with the index at a time, which takes about ten milliseconds."""

_ORDER = {
    "newest": "f.created DESC, f.id DESC",
    "oldest": "f.created, f.id",
    "name": "f.sorting, f.file",
    "backbone": "f.backbone, f.sorting, f.file",
}


@dataclass(frozen=True)
class Entry:
    """A file of the library: its difference's info, or the error from reading it.

    ``name`` is safe to print; for a damaged file it is the file's name. ``duplicate``: another file
    of the library has the same tensors, as far as its index was asked.
    """

    name: str
    path: Path
    info: DifferenceInfo | None = None
    error: str | None = None
    duplicate: bool = field(default=False, compare=False)


class Index:
    """The index of one existing folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places = _places(folder)
        self._data: Database = self._open()
        self._known: tuple[tuple[int, int], dict[str, tuple[int, str]]] | None = None
        self._changed, self._next = 0, 0

    def fall_back(self) -> bool:
        """Go on elsewhere after an UnusableError: in the cache, and finally in memory. False if
        there is nothing left to try."""
        if isinstance(self._data, MemoryDatabase):
            return False
        self._data.close()
        self._data, self._known = self._open(), None
        return True

    def _open(self) -> Database:
        what = "The library's index"
        if self._places:
            return Database(self._places.pop(0), (_SCHEMA,), what, disposable=True)
        return MemoryDatabase((_SCHEMA,), what)

    def search(
        self, query: str, sort: str, limit: int | None = None, offset: int = 0
    ) -> list[Entry]:
        """The entries that a query finds, in order."""
        self.refresh()
        return self._search(query, sort, limit, offset)

    def page(
        self, query: str, sort: str, limit: int, offset: int, look: bool
    ) -> tuple[list[Entry], int]:
        """Some of the entries that a query finds, and how many it finds in all."""
        if look:
            self.refresh()
        entries = self._search(query, sort, limit, offset)
        is_all = offset == 0 and len(entries) < limit
        return entries, len(entries) if is_all else self._count(query)

    def _search(self, query: str, sort: str, limit: int | None, offset: int) -> list[Entry]:
        where, values = _where(parse(query))
        order = _ORDER.get(sort, _ORDER["newest"])
        rows = self._data.read(
            f"SELECT f.file, f.name, f.info, f.error, {_IS_DUPLICATE} FROM files f{where} "
            f"ORDER BY {order} "
            "LIMIT ? OFFSET ?",
            (*values, -1 if limit is None else limit, offset),
        )
        return [self._entry(*row) for row in rows]

    def count(self, query: str) -> int:
        """How many entries a query finds."""
        self.refresh()
        return self._count(query)

    def _count(self, query: str) -> int:
        where, values = _where(parse(query))
        return int(self._data.read(f"SELECT count(*) FROM files f{where}", values)[0][0])

    def tags(self) -> list[tuple[str, int]]:
        """Every tag with its number of entries, the most used first."""
        self.refresh()
        rows = self._data.read(
            "SELECT min(tag), count(*) FROM tags GROUP BY folded ORDER BY count(*) DESC, folded"
        )
        return [(row[0], row[1]) for row in rows]

    def duplicates(self) -> list[list[Entry]]:
        """Groups of entries with the same tensors."""
        self.refresh()
        rows = self._data.read(
            "SELECT file, name, info, error, hash FROM files WHERE hash IN (SELECT hash FROM files "
            "WHERE hash != '' GROUP BY hash HAVING count(*) > 1) ORDER BY hash, created, id"
        )
        groups: dict[str, list[Entry]] = {}
        for *values, hash in rows:
            groups.setdefault(hash, []).append(self._entry(*values))
        return list(groups.values())

    def with_hashes(self, hashes: Iterable[str]) -> dict[str, Entry]:
        """An entry for each of these tensor checksums that the index has."""
        self.refresh()
        rows = self._data.read(
            "SELECT hash, file, name, info, error FROM files "
            "WHERE hash IN (SELECT value FROM json_each(?))",
            (json.dumps(list(hashes)),),
        )
        return {hash: self._entry(*values) for hash, *values in rows}

    def notice(self) -> object:
        """A value that changes when the folder does; cheap enough to ask for all the time.

        New and missing files are noticed at once. Only some of the known files are checked each
        time, so a file changed in place among very many is noticed a little later.
        """
        changed = self.folder.stat().st_mtime_ns
        if changed != self._changed or self._is_some_file_other():
            self.refresh()
            self._changed = changed
        return self._data.version()

    def _is_some_file_other(self) -> bool:
        """Whether one of the next files has changed since it was read."""
        known = self._rows()
        files = list(known)[self._next : self._next + _LOOKED_AT]
        self._next = self._next + len(files) if len(files) == _LOOKED_AT else 0
        return any(_stamp_of(f"{self.folder}/{file}") != known[file][1] for file in files)

    def refresh(self) -> None:
        """Bring the index up to date with what has appeared, vanished or changed in the folder."""
        found = dict(_scan(self.folder))
        known = self._rows()
        gone = [known[file][0] for file in known.keys() - found.keys()]
        changed = [
            file for file, stamp in found.items() if file not in known or known[file][1] != stamp
        ]
        if not gone and not changed:
            return
        read = [(file, found[file], read_entry(self.folder / file)) for file in changed]
        with self._data.write() as db:
            for id in gone:
                _remove(db, id)
            for file, stamp, entry in read:
                for (id,) in db.execute("SELECT id FROM files WHERE file = ?", (file,)).fetchall():
                    _remove(db, id)
                _insert(db, file, stamp, entry)

    def _rows(self) -> dict[str, tuple[int, str]]:
        """Id and stamp of every file in the index."""
        version = self._data.version()
        if self._known is None or self._known[0] != version:
            rows = self._data.read("SELECT file, id, stamp FROM files")
            self._known = (version, {file: (id, stamp) for file, id, stamp in rows})
        return self._known[1]

    def _entry(
        self, file: str, name: str, info: str | None, error: str | None, duplicate: int = 0
    ) -> Entry:
        known = _info_from_json(info) if info else None
        return Entry(name, self.folder / file, known, error, bool(duplicate))


def _places(folder: Path) -> list[Path]:
    """Where the index can be: in its library if that is writable, else in the cache."""
    name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:24]
    cached = cache_folder() / "libraries" / name / FILE
    return [folder / FILE, cached] if os.access(folder, os.W_OK) else [cached]


def read_entry(path: Path) -> Entry:
    """A file as an entry, damaged or not."""
    try:
        info = read_info(path)
    except NotSafetensorsError as error:
        return Entry(text_safe(path.stem), path, error=error.in_library)
    except DiffinvError as error:
        return Entry(text_safe(path.stem), path, error=str(error))
    return Entry(text_safe(info.name) or text_safe(path.stem), path, info)


def list_files(folder: Path) -> list[str]:
    """The names of a library's files. Raises OSError if the folder cannot be listed."""
    return [file for file, _ in _scan(folder)]


def sort_text(name: str) -> str:
    """A text that sorts as :func:`natural_key` does."""
    return "\x01".join(natural_key(name)[0])


def _scan(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file of the library with its stamp, which changes when the file does."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if not name.endswith(SUFFIX) or name.startswith("."):
                continue
            with contextlib.suppress(FileNotFoundError):
                yield name, _stamp(_status(entry))


def _stamp(status: os.stat_result) -> str:
    mode = stat.S_IFMT(status.st_mode)
    stamp = (_VERSION, status.st_ino, status.st_mtime_ns, status.st_size, mode)
    return " ".join(map(str, stamp))


def _stamp_of(path: str) -> str | None:
    """A file's stamp; None if it is gone."""
    try:
        return _stamp(os.stat(path))
    except OSError:
        return _stamp(os.lstat(path)) if os.path.lexists(path) else None


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """A file's status, or that of a broken link itself."""
    try:
        return entry.stat()
    except OSError:
        return entry.stat(follow_symlinks=False)


def _where(conditions: list[Condition]) -> tuple[str, tuple[str, ...]]:
    sql = " AND ".join(condition.sql for condition in conditions)
    values = tuple(value for condition in conditions for value in condition.values)
    return (f" WHERE {sql}" if sql else ""), values


def _insert(db: sqlite3.Connection, file: str, stamp: str, entry: Entry) -> None:
    info = entry.info
    words = _words(entry)
    row = {
        "file": file,
        "stamp": stamp,
        "name": entry.name,
        "sorting": sort_text(entry.name),
        "backbone": info.backbone if info else "",
        "created": info.date if info else "",
        "hash": info.hash_sha256 if info else "",
        "text": " ".join(words),
        "info": _info_to_json(info) if info else None,
        "error": entry.error,
    }
    marks = ", ".join("?" * len(row))
    sql = f"INSERT INTO files ({', '.join(row)}) VALUES ({marks})"
    id = db.execute(sql, tuple(row.values())).lastrowid
    db.execute(f"INSERT INTO words (rowid, {_WORDS}) VALUES (?, ?, ?, ?, ?, ?)", (id, *words))
    for tag in info.tags if info else ():
        db.execute("INSERT INTO tags VALUES (?, ?, ?)", (id, text_safe(tag), tag.casefold()))


def _words(entry: Entry) -> list[str]:
    """What goes into the full-text index for an entry, column by column."""
    info = entry.info
    if info is None:
        return [entry.name, "", "", "", ""]
    captions = " ".join([*(text for pair in info.captions for text in pair), *info.words_brought])
    prompts = " ".join(text for pair in info.prompts for text in pair)
    texts = [entry.name, " ".join(info.tags), captions, prompts, info.backbone]
    return [text.replace("\0", " ") for text in texts]


def _remove(db: sqlite3.Connection, id: int) -> None:
    db.execute("DELETE FROM files WHERE id = ?", (id,))
    db.execute("DELETE FROM words WHERE rowid = ?", (id,))
    db.execute("DELETE FROM tags WHERE file = ?", (id,))


def _info_to_json(info: DifferenceInfo) -> str:
    return json.dumps(vars(info), ensure_ascii=False)


_TUPLES = ("tags", "warnings", "words_brought", "words_taken")
_PAIRS = ("captions", "prompts", "pair_hashes")
_FIELDS = {field.name for field in fields(DifferenceInfo)}


def _info_from_json(text: str) -> DifferenceInfo:
    values = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
    for name in _TUPLES:
        values[name] = tuple(values.get(name, ()))
    for name in _PAIRS:
        values[name] = tuple((first, second) for first, second in values[name])
    values["additions"] = tuple(Added(*row) for row in values.get("additions", ()))
    return DifferenceInfo(**values)
