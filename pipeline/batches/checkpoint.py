"""The checkpoint of a batch: a SQLite file with the result of every row that is done.

What is promised: a row that was handed out is in the file, and survives the end of the process at any moment, and a
loss of power as far as the disk keeps its word (WAL mode, `synchronous=FULL`; SQLite, "Write-Ahead Logging" and "Pragma
statements", read 2026-11). Rows that end together are written together. One run has the file at a time: its lock is
held until the run ends, and goes with its process.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import CallError, CheckpointMismatch, StoreLocked, StoreUnavailable
from ..file_folder import check_folder
from ..stores.forks import watch_forks
from ..stores.sqlite_file import SqliteLink
from ..wording import quoted
from .fingerprint import Fingerprint, differences
from .kept_result import read_result, write_result
from .row import Item, Row, RowCalls

if TYPE_CHECKING:
    from ..chain import Chain

_BLOCK = 64  # rows that are read together


class Checkpoint:
    """Keeps the results of one run. One thread at a time, but for `close`.

    Args:
        path: the file; it is made when it is not there, for its owner only (mode 0600).
        retry_failed: whether rows that have failed count as missing.
    """

    application_id: ClassVar[int] = 0x416E7462  # "Antb", in the file's header
    migrations: ClassVar[tuple[str, ...]] = (
        """
        CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE results (
            row INTEGER PRIMARY KEY, key BLOB NOT NULL, has_failed INTEGER NOT NULL, result BLOB NOT NULL
        );
        """,
    )
    pragmas: ClassVar[tuple[str, ...]] = ("locking_mode = EXCLUSIVE",)
    timeout_s = 0.2

    def __init__(self, path: str | os.PathLike[str], chain: Chain, calls: RowCalls, *, retry_failed: bool) -> None:
        self.path = Path(path).absolute()
        check_folder(self.path, str(self), "checkpoint")
        self._calls = calls
        self._text_format = chain.defaults.get("text_format")
        self._fingerprint = Fingerprint(chain, calls.common)
        self._retry_failed = retry_failed
        self._link = SqliteLink(self)
        self._is_closed = False
        self._count = 0  # one more than the last row that the file has
        self._block = range(0)
        self._loaded: dict[int, tuple[bytes, int, bytes]] = {}
        watch_forks(self)

    def __repr__(self) -> str:
        return f"checkpoint {quoted(str(self.path))}"

    def begin(self, source: object) -> None:
        """Open the file, and see whether it is this batch's; where the rows can be looked up, theirs too.

        Raises:
            CheckpointMismatch: it is another one's.
            StoreError: it cannot be opened, is used by another run, or is no checkpoint.
        """
        try:
            with self._file() as connection:
                then = dict(connection.execute("SELECT name, value FROM facts").fetchall())
                if not then:
                    connection.executemany("INSERT INTO facts VALUES (?, ?)", list(self._fingerprint.facts.items()))
                [(last,)] = connection.execute("SELECT max(row) FROM results").fetchall()
        except StoreLocked as error:
            raise StoreLocked(
                f"{self} is used by another run", hint="wait for its end, or give this one a file of its own"
            ) from error
        if then and (found := differences(then, self._fingerprint.facts)):
            more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
            raise CheckpointMismatch(f"{self} is of another batch: {'; '.join(found[:3])}{more}", hint=_HINT)
        self._count = 0 if last is None else last + 1
        if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
            self._check_rows(source)

    def _check_rows(self, rows: Sequence[Any]) -> None:
        """Look at all rows that the file has before anything is asked for."""
        self.check_end(len(rows))
        with self._file() as connection:
            for row, key in connection.execute("SELECT row, key FROM results ORDER BY row"):
                try:
                    own, _ = self._calls.own(rows[row])
                except CallError:  # it was a call once
                    own = {}
                self._check_key(row, key, self.key(own))

    def _check_key(self, row: int, then: bytes, now: bytes) -> None:
        if then != now:
            raise CheckpointMismatch(
                f"{self} is of other inputs: row {row}, counted from 0, is another request than it was", hint=_HINT
            )

    def check_end(self, count: int) -> None:
        """Raise CheckpointMismatch when the file has rows after the end of the inputs."""
        if count < self._count:
            raise CheckpointMismatch(
                f"{self} is of other inputs: it has a row {self._count - 1}, counted from 0, and there are {count} now",
                hint=_HINT,
            )

    def key(self, own: Mapping[str, Any]) -> bytes:
        """Return what tells a row's request from others, of what it asks for by itself."""
        return self._fingerprint.key(own)

    # --- reading ---------------------------------------------------------------------------------------------------

    def is_loaded(self, index: int) -> bool:
        """Tell whether `kept` knows of this row without reading the file."""
        return index >= self._count or index in self._block

    def load(self, index: int) -> None:
        """Read this row, and some after it."""
        self._block = range(index, index + _BLOCK)
        with self._file() as connection:
            found = connection.execute(
                "SELECT row, key, has_failed, result FROM results WHERE row >= ? AND row < ?",
                (self._block.start, self._block.stop),
            ).fetchall()
        self._loaded = {row: (key, has_failed, result) for row, key, has_failed, result in found}

    def kept(self, item: Item) -> Row | None:
        """Return the row as an earlier run has ended it; None when it is missing. It must be loaded.

        Raises:
            CheckpointMismatch: the file has another request there.
        """
        index, request = item.index, item.request
        found = self._loaded.pop(index, None)
        if found is None:
            return None
        then, has_failed, data = found
        self._check_key(index, then, item.key)
        if has_failed and self._retry_failed:
            return None
        try:
            result = read_result(data, item.keywords.get("text_format", self._text_format))
        except ValueError as error:
            raise CheckpointMismatch(
                f"{self}: the answer of row {index} does not fit text_format any more: {error}", hint=_HINT
            ) from error
        if isinstance(result, Exception):
            return Row(index=index, request=request, error=result, is_kept=True)
        return Row(index=index, request=request, response=result, is_kept=True)

    # --- writing ---------------------------------------------------------------------------------------------------

    def save(self, done: Sequence[tuple[Row, bytes]]) -> None:
        """Write rows, each with its key, to the disk.

        Raises:
            StoreError: they could not be written; none of them is.
        """
        values = [(row.index, key, row.error is not None, write_result(row)) for row, key in done]
        with self._file() as connection:
            connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?)", values)

    @contextlib.contextmanager
    def _file(self) -> Generator[sqlite3.Connection]:
        """Lend the file in a transaction. In async mode its user may be a thread for which nobody waits any more."""
        with self._link.lock:
            if self._is_closed:
                raise StoreUnavailable(
                    f"{self} is closed", hint="begin the batch anew; the rows that it holds are not asked again"
                )
            with self._link.transaction() as connection:
                yield connection

    def close(self) -> None:
        """Let go of the file. Idempotent; from any thread."""
        with self._link.lock:
            self._is_closed = True
            self._link.drop()

    def before_fork(self) -> None:
        self._link.lock.acquire()
        self._link.drop()

    def after_fork(self, *, in_child: bool) -> None:
        self._link.lock.release()


_HINT = "give the chain, keywords and inputs that it was begun with, in the same order, or name another file"
