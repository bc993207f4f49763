"""A SQLite file of ours: its connections, how it is brought up to date, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import ClassVar, Protocol

from ..errors import (
    StoreError,
    StoreFull,
    StoreLocked,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreUnreadable,
    StoreValueTooLarge,
)


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


class SqliteLink:
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
