"""The store in one SQLite file: for the processes of one machine.

Two connections a process, each with a lock: one writes, one reads, so that a read does not wait for a write to reach
the disk. The file is in WAL mode with `synchronous=FULL`: a write that has returned survives a crash of the process,
of the system, and a loss of power as far as the disk keeps its word (SQLite, "Write-Ahead Logging" and "Pragma
statements", read 2026-11).

A connection must not be carried across a fork, and not even be closed in the child, since file locks belong to a
process while SQLite's notes about them are copied (SQLite, "How To Corrupt An SQLite Database File", 2.6). So both are
closed before a fork, and opened again on both sides when they are needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from ..errors import (
    InvalidParameter,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreUnreadable,
    StoreValueTooLarge,
)
from .forks import watch_forks
from .store import MAX_BYTES, Entry, check_keys, check_range, check_ttl, check_value, other_length, other_version

APPLICATION_ID = 0x416E7470  # "Antp", in the file's header (SQLite, "Database File Format", 1.3.14)

# Each brings a file from the version of its index to the next one. They are never changed, only added to.
MIGRATIONS = (
    """
    CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, expires REAL);
    CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL;
    CREATE TABLE logs (key TEXT PRIMARY KEY, length INTEGER NOT NULL, expires REAL);
    CREATE INDEX logs_expires ON logs (expires) WHERE expires IS NOT NULL;
    CREATE TABLE log_values (
        key TEXT NOT NULL REFERENCES logs (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        value BLOB NOT NULL,
        PRIMARY KEY (key, position)
    );
    CREATE TABLE versions (last INTEGER NOT NULL);
    INSERT INTO versions VALUES (0);
    """,
)

_SWEEP_S = 60.0
_SWEPT_AT_ONCE = 500


class SqliteStore:
    """Keeps values and logs in a file that is made when it is not there, for its owner only (mode 0600).

    Args:
        path: the file; beside it are `-wal` and `-shm` while it is open. Not on a network file system.
        max_bytes: the largest value.
        timeout_s: how long to wait for another process, or thread, that is writing, seconds.
        now: seconds since the epoch, by which entries expire.
    """

    application_id: ClassVar[int] = APPLICATION_ID
    migrations: ClassVar[tuple[str, ...]] = MIGRATIONS
    pragmas: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = MAX_BYTES,
        timeout_s: float = 5.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path).absolute()
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self._now = now
        self._sweep_at = 0.0
        if not self.path.parent.is_dir():
            raise InvalidParameter(
                f"store {self}: there is no folder {self.path.parent}", param="url", hint="make the folder first"
            )
        self._reading = Link(self)
        self._writing = Link(self)
        watch_forks(self)

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        check_keys(keys)
        with self._reading.use() as connection:
            rows = connection.execute(
                "SELECT key, value, version FROM entries"
                " WHERE key IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires > ?)",
                (json.dumps(keys), self._now()),
            ).fetchall()
        found = {key: Entry(value, version) for key, value, version in rows}
        return [found.get(key) for key in keys]

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        check_keys((key,))
        check_value(key, value, self.max_bytes)
        check_ttl(ttl_s)
        with self._writing.transaction() as connection:
            now = self._now()
            self._sweep(connection, now)
            if expect is not None:
                rows = connection.execute(
                    "SELECT version FROM entries WHERE key = ? AND (expires IS NULL OR expires > ?)", (key, now)
                ).fetchall()
                if expect != (found := rows[0][0] if rows else 0):
                    raise other_version(key, expect, found)
            connection.execute("UPDATE versions SET last = last + 1")
            [(version,)] = connection.execute("SELECT last FROM versions").fetchall()
            connection.execute(
                "INSERT INTO entries (key, value, version, expires) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE"
                " SET value = excluded.value, version = excluded.version, expires = excluded.expires",
                (key, value, version, None if ttl_s is None else now + ttl_s),
            )
        return int(version)

    def delete(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        names = json.dumps(keys)
        with self._writing.transaction() as connection:
            now = self._now()
            [(count,)] = connection.execute(
                "SELECT count(*) FROM (SELECT key FROM entries"
                " WHERE key IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires > ?)"
                " UNION SELECT key FROM logs"
                " WHERE key IN (SELECT value FROM json_each(?)) AND (expires IS NULL OR expires > ?))",
                (names, now, names, now),
            ).fetchall()
            connection.execute("DELETE FROM entries WHERE key IN (SELECT value FROM json_each(?))", (names,))
            connection.execute("DELETE FROM logs WHERE key IN (SELECT value FROM json_each(?))", (names,))
        if count:
            self._forget()
        return int(count)

    def append(self, key: str, values: Sequence[bytes], *, start: int | None = None, ttl_s: float | None = None) -> int:
        check_keys((key,))
        check_ttl(ttl_s)
        for value in values:
            check_value(key, value, self.max_bytes)
        with self._writing.transaction() as connection:
            now = self._now()
            self._sweep(connection, now)
            connection.execute("DELETE FROM logs WHERE key = ? AND expires <= ?", (key, now))
            rows = connection.execute("SELECT length FROM logs WHERE key = ?", (key,)).fetchall()
            length = int(rows[0][0]) if rows else 0
            if start is not None and start != length:
                raise other_length(key, start, length)
            if not values and not length:
                return 0
            connection.execute(
                "INSERT INTO logs (key, length, expires) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
                " SET length = excluded.length, expires = coalesce(excluded.expires, expires)",
                (key, length + len(values), None if ttl_s is None else now + ttl_s),
            )
            connection.executemany(
                "INSERT INTO log_values (key, position, value) VALUES (?, ?, ?)",
                [(key, length + index, value) for index, value in enumerate(values)],
            )
        return length + len(values)

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        check_keys((key,))
        check_range(start, limit)
        with self._reading.use() as connection:
            rows = connection.execute(
                "SELECT value FROM log_values JOIN logs USING (key) WHERE key = ? AND position >= ?"
                " AND (expires IS NULL OR expires > ?) ORDER BY position LIMIT ?",
                (key, start, self._now(), limit),
            ).fetchall()
        return [value for (value,) in rows]

    def close(self) -> None:
        for link in (self._reading, self._writing):
            with link.lock:
                link.drop()

    def before_fork(self) -> None:
        for link in (self._reading, self._writing):
            link.lock.acquire()
            link.drop()

    def after_fork(self, *, in_child: bool) -> None:
        for link in (self._reading, self._writing):
            link.lock.release()

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Remove some of what has expired, at most once a minute while there is little."""
        if now < self._sweep_at:
            return
        removed = 0
        for table in ("entries", "logs"):
            removed += connection.execute(
                f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE expires <= ? LIMIT ?)",  # noqa: S608
                (now, _SWEPT_AT_ONCE),
            ).rowcount
        self._sweep_at = now if removed >= _SWEPT_AT_ONCE else now + _SWEEP_S

    def _forget(self) -> None:
        """Overwrite what the write-ahead log still holds of deleted values.

        Another process that is reading just then can prevent it; the next delete, or the last close, does it.
        """
        with self._writing.use() as connection:
            connection.execute("PRAGMA busy_timeout = 100").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute(f"PRAGMA busy_timeout = {round(self.timeout_s * 1000)}").fetchall()

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"


class SqliteFile(Protocol):
    """A SQLite file of ours.

    Attributes:
        application_id: what it is, in its header.
        migrations: each brings it from the version of its index to the next one.
        pragmas: what a connection is told before it looks at the file.
        timeout_s: how long to wait for another process, or thread, seconds.
    """

    application_id: ClassVar[int]
    migrations: ClassVar[tuple[str, ...]]
    pragmas: ClassVar[tuple[str, ...]]
    path: Path
    timeout_s: float


class Link:
    """One connection, opened when it is needed, and used by one thread at a time."""

    def __init__(self, store: SqliteFile) -> None:
        self.lock = threading.RLock()  # a signal's handler may fork in the middle of an operation
        self._store = store
        self._connection: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def use(self) -> Generator[sqlite3.Connection]:
        """Lend the connection; SQLite's errors come out as ours, and one that has failed is closed."""
        store = self._store
        if not self.lock.acquire(timeout=store.timeout_s):
            raise _locked(store, "by other threads of this process")
        try:
            if self._connection is None:
                self._connection = _opened(store)
            yield self._connection
        except sqlite3.Error as error:
            meant = _meant(store, error)
            if isinstance(meant, (StoreUnavailable, StoreUnreadable)):
                self.drop()
            raise meant from error
        finally:
            self.lock.release()

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Lend the connection inside a transaction that has the right to write from its beginning."""
        with self.use() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # SQLite may have rolled it back by itself, as on a full disk
                    connection.execute("ROLLBACK")

    def drop(self) -> None:
        """Close the connection; the lock is held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _opened(store: SqliteFile) -> sqlite3.Connection:
    """Return a connection to the store's file, made and brought up to date where that is needed."""
    try:
        # Only when it is not there: closing a descriptor of a file drops this process's locks on it. -wal and -shm get
        # the file's mode.
        os.close(os.open(store.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StoreUnavailable(
            f"{store} cannot be made: {error.strerror}", hint="look at the folder's permissions and the disk"
        ) from error
    connection = sqlite3.connect(
        store.path, timeout=store.timeout_s, isolation_level=None, check_same_thread=False, cached_statements=64
    )
    try:
        for pragma in store.pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
        connection.execute("BEGIN")  # what is asked must be of one moment: another process may be making the tables
        version = _version(store, connection)  # before anything is changed: it may be somebody else's file
        connection.execute("COMMIT")
        _use_wal(store, connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
        if version < len(store.migrations):
            _migrate(store, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(store: SqliteFile, connection: sqlite3.Connection) -> int:
    """Return the file's version, 0 when it is empty."""
    [(application,)] = connection.execute("PRAGMA application_id").fetchall()
    [(version,)] = connection.execute("PRAGMA user_version").fetchall()
    if application != store.application_id:
        [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if application or version or tables:
            raise StoreUnreadable(
                f"{store} is a database of another application", hint="give the store a file of its own"
            )
    if version > len(store.migrations):
        raise StoreSchemaNewer(
            f"{store} has schema version {version}; this version of antiphon knows {len(store.migrations)}",
            hint="use the newer antiphon, or another file",
        )
    return int(version)


def _use_wal(store: SqliteFile, connection: sqlite3.Connection) -> None:
    # Two that change the mode at once get "locked" without the wait that other statements have.
    deadline = time.monotonic() + store.timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _migrate(store: SqliteFile, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for script in store.migrations[_version(store, connection) :]:  # again, as another process may have been faster
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {store.application_id}")
        connection.execute(f"PRAGMA user_version = {len(store.migrations)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _locked(store: SqliteFile, by: str) -> StoreLocked:
    return StoreLocked(
        f"{store} was held {by} for over {store.timeout_s:g} s",
        hint="repeat it; end what holds the file, or open the store with a larger timeout_s",
    )


def _meant(store: SqliteFile, error: sqlite3.Error) -> StoreError:
    """Return what an error of SQLite means to the caller, by its result code (SQLite, "Result and Error Codes")."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _locked(store, "by another process")
        case sqlite3.SQLITE_FULL:
            return StoreFull(f"{store}: the disk is full", hint="make room; what was written before is still there")
        case sqlite3.SQLITE_TOOBIG:
            return StoreValueTooLarge(f"{store}: SQLite takes no value of this size", hint="keep less of it")
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return StoreUnreadable(
                f"{store} is no SQLite database, or damaged: {error} ({name})",
                hint="give the store another file, or bring this one back from a backup",
            )
        case _:
            return StoreUnavailable(f"{store}: {error} ({name})", hint="look at the file, its folder and the disk")
