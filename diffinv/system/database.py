"""A SQLite file shared by several threads and processes."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from ..errors import DiffinvError
from .files import file_mode, make_folder
from .text import path_text, text_safe

Row = sqlite3.Row

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNUSABLE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}
_NO_SPACE = 64 * 1024
"""Free bytes below which a disk counts as full: SQLite may then also say "disk I/O error"."""
_SIDECARS = ("-wal", "-shm")
_NO_FILE = -1
"""In place of an inode."""


class _Connection(sqlite3.Connection):
    """Takes any text. File names need not be UTF-8; those that are not are stored as bytes, and
    :func:`_row` gives them back as Python spells them."""

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        return super().execute(sql, [_storable(value) for value in values])

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        return super().executemany(sql, ([_storable(v) for v in row] for row in rows))


def _storable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode(errors="surrogatepass")
    return value


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    if any(isinstance(value, bytes) for value in values):
        values = tuple(_text(v) if isinstance(v, bytes) else v for v in values)
    return sqlite3.Row(cursor, values)


def _text(stored: bytes) -> str:
    try:
        return stored.decode(errors="surrogatepass")
    except UnicodeDecodeError:  # not written by us
        return stored.decode(errors="surrogateescape")


class UnusableError(DiffinvError):
    """The file's location is unusable: a full or broken disk, or missing permission."""


class Database:
    """Reads, and writes in transactions, from any thread. WAL, so that neither waits for the other.

    ``migrations`` are scripts, each run once in a file's life. The first write makes the file. A
    damaged file is set aside under a dated name and a fresh one started; ``notice`` says so in one
    sentence. Other problems raise DiffinvError. ``what`` is what messages call the file. A
    ``disposable`` file can be rebuilt from other data: it is not checked in full, and is deleted
    if useless.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[str],
        what: str,
        timeout: float = 10.0,
        disposable: bool = False,
    ) -> None:
        self.path, self.what, self.disposable = path, what, disposable
        self.notice: str | None = None
        self._migrations, self._timeout = migrations, timeout
        self._own = threading.local()
        self._watching = threading.Lock()
        self._watcher: tuple[sqlite3.Connection, int] | None = None

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one SELECT."""
        with self._named():
            rows: list[Row] = self._for_reading().execute(sql, values).fetchall()
            return rows

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction during which no one else writes; rolled back if the block raises."""
        with self._named():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def version(self) -> tuple[int, int]:
        """A value that changes when any thread or process has written."""
        with self._watching, self._named():
            inode = _inode(self.path)
            if inode == _NO_FILE:
                return inode, 0
            if self._watcher is None or self._watcher[1] != inode:
                self._watcher = self._open()
            connection, inode = self._watcher
            return inode, connection.execute("PRAGMA data_version").fetchone()[0]

    def close(self) -> None:
        """Close this thread's connection."""
        if known := getattr(self._own, "connection", None):
            known[0].close()
            self._own.connection = None

    def _for_reading(self) -> sqlite3.Connection:
        """A connection to the file or, if there is none, to an empty database in memory."""
        if _inode(self.path) == _NO_FILE:
            return self._nothing
        return self._connection()

    @cached_property
    def _nothing(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:", isolation_level=None, check_same_thread=False, factory=_Connection
        )
        connection.row_factory = _row
        self._migrate(connection)
        return connection

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection to the file currently at the path."""
        known: tuple[sqlite3.Connection, int] | None = getattr(self._own, "connection", None)
        if known is None or known[1] != _inode(self.path):
            self.close()
            known = self._own.connection = self._open()
        return known[0]

    def _open(self) -> tuple[sqlite3.Connection, int]:
        try:
            return self._try_open()
        except sqlite3.DatabaseError as error:
            if not self._is_damage(error):
                raise
        with self._lock():
            try:
                return self._try_open()  # another process may have been faster
            except sqlite3.DatabaseError as error:
                if not self._is_damage(error):
                    raise
                self._set_aside()
            return self._try_open()

    def _try_open(self) -> tuple[sqlite3.Connection, int]:
        make_folder(self.path.parent)
        _create(self.path)
        if _is_cut(self.path):
            raise _damage("cut to nothing")
        connection = sqlite3.connect(
            self.path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        try:
            connection.row_factory = _row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if not self.disposable:
                _check(connection)
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection, _inode(self.path)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        if self._steps_done(connection) == len(self._migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for number in range(self._steps_done(connection), len(self._migrations)):
                for statement in self._migrations[number].split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has already ended it
                connection.execute("ROLLBACK")
            raise

    def _steps_done(self, connection: sqlite3.Connection) -> int:
        done: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if done > len(self._migrations):
            if self.disposable:
                raise _damage("of a later version")
            raise DiffinvError(
                f"{self.what} {self._shown} was written by a later diffinv; update diffinv."
            )
        return done

    def _set_aside(self) -> None:
        """Rename the damaged file, so that nothing in it is lost. Needs the lock."""
        if self.disposable:
            for ending in (*_SIDECARS, ""):
                Path(f"{self.path}{ending}").unlink(missing_ok=True)
            return
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.stem}.damaged-{stamp}{self.path.suffix}")
        number = 2
        while aside.exists():
            aside = aside.with_stem(f"{aside.stem}-{number}")
            number += 1
        for sidecar in _SIDECARS:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{self.path}{sidecar}", f"{aside}{sidecar}")
        os.rename(self.path, aside)
        self.notice = (
            f"{self.what} {self._shown} was damaged and has been set aside as "
            f"{text_safe(aside.name)}; a fresh one was started."
        )

    def _recover(self) -> None:
        """Set the file aside after an error during use, unless another process already has."""
        known: tuple[sqlite3.Connection, int] | None = getattr(self._own, "connection", None)
        with self._lock():
            if known is None or known[1] == _inode(self.path):
                self.close()
                with contextlib.suppress(FileNotFoundError):
                    self._set_aside()
        self.close()

    def _lock(self) -> FileLock:
        return FileLock(f"{self.path}.lock", timeout=self._timeout, mode=file_mode(self.path))

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Turn SQLite and file system errors into one sentence."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if self._is_damage(error):
                self._recover()
                raise DiffinvError(f"{self.notice or str(error)} Do it again.") from error
            raise self._trouble(error) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UnusableError(
                f"{self.what} {self._shown} cannot be used ({reason}); "
                "choose another folder with DIFFINV_HOME."
            ) from error

    def _is_damage(self, error: sqlite3.DatabaseError) -> bool:
        """Whether the file is useless, as a disposable one is if its tables differ from ours."""
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
            return True
        wrong = isinstance(error, sqlite3.IntegrityError) or "no such" in str(error)
        return self.disposable and wrong

    def _trouble(self, error: sqlite3.DatabaseError) -> DiffinvError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            return DiffinvError(
                f"{self.what} {self._shown} is locked by another program; try again in a moment."
            )
        kind = UnusableError if code in _UNUSABLE else DiffinvError
        if code == sqlite3.SQLITE_FULL or (code in _UNUSABLE and self._no_space()):
            return kind(
                f"{self.what} {self._shown} cannot be written: the disk is full; free some space."
            )
        return kind(
            f"{self.what} {self._shown} cannot be used ({error}); check its folder and the disk."
        )

    def _no_space(self) -> bool:
        try:
            return shutil.disk_usage(self.path.parent).free < _NO_SPACE
        except OSError:
            return False

    @property
    def _shown(self) -> str:
        return path_text(self.path)


class MemoryDatabase(Database):
    """The same in memory, for this object only; threads take turns."""

    def __init__(self, migrations: Sequence[str], what: str) -> None:
        super().__init__(Path(":memory:"), migrations, what, disposable=True)
        self._turn = threading.RLock()
        self._only = self._nothing

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of one SELECT."""
        with self._turn:
            return super().read(sql, values)

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; rolled back if the block raises."""
        with self._turn, super().write() as connection:
            yield connection

    def version(self) -> tuple[int, int]:
        """A value that changes when any thread has written."""
        return 0, self._only.total_changes

    def close(self) -> None:
        """Do nothing: without its connection the database would be gone."""

    def _for_reading(self) -> sqlite3.Connection:
        return self._only

    def _connection(self) -> sqlite3.Connection:
        return self._only

    def _is_damage(self, error: sqlite3.DatabaseError) -> bool:
        return False


def _create(path: Path) -> None:
    """Make the file with our permissions; SQLite gives them to those beside it. An existing one is
    not opened: closing it again would drop this process's locks on it."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, file_mode(path)))


def _is_cut(path: Path) -> bool:
    """Whether the file was emptied: one that SQLite has just begun has nothing beside it yet. While
    another process has it open, SQLite would only say that it is locked."""
    return path.stat().st_size == 0 and any(os.path.exists(f"{path}{end}") for end in _SIDECARS)


def _check(connection: sqlite3.Connection) -> None:
    for (answer,) in connection.execute("PRAGMA quick_check(1)"):
        if answer != "ok":
            raise _damage(answer)


def _damage(answer: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(answer)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return _NO_FILE
