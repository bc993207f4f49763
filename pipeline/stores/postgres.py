"""The store in a PostgreSQL database: for many processes and machines, with backups and replicas as you have them.

Each write is one statement, or one transaction, so it is there whole or not at all, and an acknowledged one is as
durable as the server's `synchronous_commit` says. Expiry goes by the server's clock.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, LiteralString, TypeVar

from ..errors import (
    InvalidParameter,
    MissingExtra,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreValueTooLarge,
)
from .forks import watch_forks
from .postgres_pool import Pool, patient_connection
from .store import (
    MAX_BYTES,
    Entry,
    check_keys,
    check_namespace,
    check_range,
    check_ttl,
    check_value,
    masked_url,
    other_length,
    other_version,
)

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

# Each brings a schema from the version of its index to the next one. They are never changed, only added to.
MIGRATIONS: tuple[LiteralString, ...] = (
    """
    CREATE TABLE {s}.entries (
        key text COLLATE "C" PRIMARY KEY,
        value bytea NOT NULL,
        version bigint GENERATED ALWAYS AS IDENTITY,
        expires timestamptz
    );
    CREATE INDEX entries_expires ON {s}.entries (expires) WHERE expires IS NOT NULL;
    CREATE TABLE {s}.logs (key text COLLATE "C" PRIMARY KEY, length bigint NOT NULL, expires timestamptz);
    CREATE INDEX logs_expires ON {s}.logs (expires) WHERE expires IS NOT NULL;
    CREATE TABLE {s}.log_values (
        key text COLLATE "C" NOT NULL REFERENCES {s}.logs (key) ON DELETE CASCADE,
        position bigint NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (key, position)
    );
    """,
)

_SQL: dict[str, LiteralString] = {
    "read": "SELECT key, value, version FROM {s}.entries"
    " WHERE key = ANY(%(keys)s) AND (expires IS NULL OR expires > now())",
    # SET version = DEFAULT takes the next number after the row's lock was had, so versions of a key rise.
    "write": "INSERT INTO {s}.entries AS e (key, value, expires)"
    " VALUES (%(key)s, %(value)b, now() + %(ttl)s::float8 * interval '1 second')"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = DEFAULT, expires = excluded.expires"
    " WHERE NOT %(only_new)s OR e.expires <= now() RETURNING version",
    "rewrite": "UPDATE {s}.entries"
    " SET value = %(value)b, version = DEFAULT, expires = now() + %(ttl)s::float8 * interval '1 second'"
    " WHERE key = %(key)s AND version = %(expect)s AND (expires IS NULL OR expires > now()) RETURNING version",
    "version": "SELECT version FROM {s}.entries WHERE key = %(key)s AND (expires IS NULL OR expires > now())",
    "delete": "WITH"
    " values_gone AS (DELETE FROM {s}.entries WHERE key = ANY(%(keys)s) RETURNING key, expires),"
    " logs_gone AS (DELETE FROM {s}.logs WHERE key = ANY(%(keys)s) RETURNING key, expires)"
    " SELECT count(DISTINCT key) FROM (SELECT * FROM values_gone UNION ALL SELECT * FROM logs_gone) AS gone"
    " WHERE expires IS NULL OR expires > now()",
    # No row comes back when the log has expired, or another length than `start`. (What refers to the log's row is
    # checked at the statement's end, when that is there.)
    "append": "WITH head AS ("
    "INSERT INTO {s}.logs AS l (key, length, expires)"
    " SELECT %(key)s, %(more)s, now() + %(ttl)s::float8 * interval '1 second'"
    " WHERE coalesce(%(start)s::bigint, 0) = 0 OR EXISTS (SELECT FROM {s}.logs WHERE key = %(key)s)"
    " ON CONFLICT (key) DO UPDATE"
    " SET length = l.length + excluded.length, expires = coalesce(excluded.expires, l.expires)"
    " WHERE (l.expires IS NULL OR l.expires > now()) AND l.length = coalesce(%(start)s::bigint, l.length)"
    " RETURNING length"
    "), added AS ("
    "INSERT INTO {s}.log_values (key, position, value)"
    " SELECT %(key)s, length - %(more)s + place - 1, value"
    " FROM head, unnest(%(values)b::bytea[]) WITH ORDINALITY AS given (value, place)"
    ") SELECT length FROM head",
    "append_nothing": "UPDATE {s}.logs SET expires = coalesce(now() + %(ttl)s::float8 * interval '1 second', expires)"
    " WHERE key = %(key)s AND (expires IS NULL OR expires > now()) AND length = coalesce(%(start)s::bigint, length)"
    " RETURNING length",
    "end_log": "DELETE FROM {s}.logs WHERE key = %(key)s AND expires <= now()",
    "length": "SELECT length FROM {s}.logs WHERE key = %(key)s AND (expires IS NULL OR expires > now())",
    "log": "SELECT value FROM {s}.log_values JOIN {s}.logs USING (key) WHERE key = %(key)s AND position >= %(start)s"
    " AND (expires IS NULL OR expires > now()) ORDER BY position LIMIT %(limit)s",
    "sweep_entries": "DELETE FROM {s}.entries WHERE key IN"
    " (SELECT key FROM {s}.entries WHERE expires <= now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED)",
    "sweep_logs": "DELETE FROM {s}.logs WHERE key IN"
    " (SELECT key FROM {s}.logs WHERE expires <= now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED)",
    "schema": "SELECT version FROM {s}.schema_version",
    "make_schema": "CREATE SCHEMA {s}",
    "make_version": "CREATE TABLE IF NOT EXISTS {s}.schema_version (version integer NOT NULL)",
    "clear_version": "DELETE FROM {s}.schema_version",
    "set_version": "INSERT INTO {s}.schema_version VALUES (%(version)s)",
}

_SWEEP_S = 60.0
_SWEPT_AT_ONCE = 500


class PostgresStore:
    """Keeps values and logs in tables of a schema of its own, which is made when it is not there.

    Args:
        url: "postgresql://…" as libpq takes it. `options` in it takes the place of ours, which set `lock_timeout`.
        namespace: the schema's name.
        max_bytes: the largest value.
        timeout_s: how long to wait for a connection, for a lock, and for each piece of an answer, seconds.
        max_connections: how many connections a process has at most; further threads wait for one.
    """

    migrations: ClassVar[tuple[LiteralString, ...]] = MIGRATIONS

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "antiphon",
        max_bytes: int = MAX_BYTES,
        timeout_s: float = 5.0,
        max_connections: int = 8,
    ) -> None:
        self.namespace = check_namespace(namespace)
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.max_connections = max_connections
        self._shown = masked_url(url)
        try:
            import psycopg
            from psycopg import conninfo, sql
        except ImportError as error:
            raise MissingExtra(
                f"store {self._shown}: the package psycopg is not installed", hint="pip install 'antiphon[postgres]'"
            ) from error
        try:
            self._settings = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise InvalidParameter(  # without the URL, and the cause that quotes it: passwords stand in wrong places
                "the postgresql:// URL of the store cannot be read",
                param="url",
                hint="postgresql://user:password@host:5432/database",
            ) from None
        schema = sql.Identifier(namespace)
        self._sql = {name: sql.SQL(text).format(s=schema) for name, text in _SQL.items()}
        self._migrations = [sql.SQL(text).format(s=schema) for text in self.migrations]
        self._migration_lock = (0x416E74, zlib.crc32(namespace.encode()) >> 1)
        self._sweep_at = 0.0
        self._pool = self._new_pool()
        watch_forks(self)

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        check_keys(keys)
        rows = self._ask(lambda connection: self._rows(connection, "read", keys=list(keys))) if keys else []
        found = {key: Entry(value, version) for key, value, version in rows}
        return [found.get(key) for key in keys]

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        check_keys((key,))
        check_value(key, value, self.max_bytes)
        check_ttl(ttl_s)
        self._sweep()

        def job(connection: psycopg.Connection) -> int:
            if expect:
                rows = self._rows(connection, "rewrite", key=key, value=value, ttl=ttl_s, expect=expect)
            else:
                rows = self._rows(connection, "write", key=key, value=value, ttl=ttl_s, only_new=expect == 0)
            if rows:
                return int(rows[0][0])
            there = self._rows(connection, "version", key=key)
            found = there[0][0] if there else 0
            raise other_version(key, expect, found)

        return self._ask(job, is_write=True)

    def delete(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        if not keys:
            return 0
        [(count,)] = self._ask(lambda connection: self._rows(connection, "delete", keys=list(keys)), is_write=True)
        return int(count)

    def append(self, key: str, values: Sequence[bytes], *, start: int | None = None, ttl_s: float | None = None) -> int:
        check_keys((key,))
        check_ttl(ttl_s)
        for value in values:
            check_value(key, value, self.max_bytes)
        self._sweep()

        def job(connection: psycopg.Connection) -> int:
            while True:
                given = {"key": key, "start": start, "ttl": ttl_s}
                if values:
                    rows = self._rows(connection, "append", **given, more=len(values), values=list(values))
                else:
                    rows = self._rows(connection, "append_nothing", **given)
                if rows:
                    return int(rows[0][0])
                self._rows(connection, "end_log", key=key)
                lengths = self._rows(connection, "length", key=key)
                found = lengths[0][0] if lengths else 0
                if start not in (None, found):
                    raise other_length(key, start, found)
                if not values and not found:
                    return 0

        return self._ask(job, is_write=True)

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        check_keys((key,))
        check_range(start, limit)
        rows = self._ask(lambda connection: self._rows(connection, "log", key=key, start=start, limit=limit))
        return [value for (value,) in rows]

    def close(self) -> None:
        self._pool.close()

    def before_fork(self) -> None:
        """Nothing: sockets may be open in both processes while only one uses them."""

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:  # another thread may have held the pool's lock
            old, self._pool = self._pool, self._new_pool()
            old.abandon()

    def _new_pool(self) -> Pool:
        return Pool(self._connect, size=self.max_connections, timeout_s=self.timeout_s, name=str(self))

    def _sweep(self) -> None:
        """Remove some of what has expired, at most once a minute while there is little."""
        if (now := time.monotonic()) < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_S

        def job(connection: psycopg.Connection) -> int:
            return sum(
                connection.execute(self._sql[name], {"limit": _SWEPT_AT_ONCE}).rowcount
                for name in ("sweep_entries", "sweep_logs")
            )

        if self._ask(job) >= _SWEPT_AT_ONCE:
            self._sweep_at = now

    def _rows(self, connection: psycopg.Connection, name: str, **values: object) -> list[tuple[Any, ...]]:
        cursor = connection.execute(self._sql[name], values, binary=True)
        return cursor.fetchall() if cursor.description else []

    def _ask(self, job: Callable[[psycopg.Connection], T], *, is_write: bool = False) -> T:
        """Run a job on a connection. A read that loses its connection is repeated once on a new one."""
        import psycopg

        is_last = is_write
        while True:
            with self._pool.lend() as connection:
                try:
                    return job(connection)
                except (psycopg.Error, TimeoutError) as error:
                    if is_last or not connection.closed or isinstance(error, TimeoutError):
                        raise self._meant(error, is_unknown=is_write and connection.closed) from error
            is_last = True

    def _connect(self) -> psycopg.Connection:
        import psycopg

        settings = {
            "connect_timeout": max(2, math.ceil(self.timeout_s)),  # libpq takes no less
            "application_name": "antiphon",
            # Before our own patience ends, so that a write that waits for a lock is known not to be done.
            "options": f"-c lock_timeout={max(1, round(self.timeout_s * 800))}",
            **self._settings,
        }
        try:
            # Without prepared statements it works behind PgBouncer too.
            connection: psycopg.Connection = patient_connection().connect(
                **settings, autocommit=True, prepare_threshold=None
            )
        except psycopg.Error as error:
            raise StoreUnavailable(
                f"{self}: {_one_line(error)}",
                hint="check that the server runs at this address, and the user, the password and the database",
            ) from error
        connection.patience_s = self.timeout_s  # type: ignore[attr-defined]
        try:
            if self._version(connection) < len(self.migrations):
                self._migrate(connection)
        except (psycopg.Error, TimeoutError) as error:
            connection.close()
            raise self._meant(error, is_unknown=False) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _version(self, connection: psycopg.Connection) -> int:
        from psycopg.errors import InvalidSchemaName, UndefinedTable

        try:
            rows = self._rows(connection, "schema")
        except (InvalidSchemaName, UndefinedTable):
            return 0
        version = int(rows[0][0]) if rows else 0
        if version > len(self.migrations):
            raise StoreSchemaNewer(
                f"{self} has schema version {version}; this version of antiphon knows {len(self.migrations)}",
                hint="use the newer antiphon, or another namespace",
            )
        return version

    def _migrate(self, connection: psycopg.Connection) -> None:
        with connection.transaction():
            # Two that come at once: the second waits here, and finds it done.
            connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", self._migration_lock)
            # Not IF NOT EXISTS, which asks for the right to create one even where there is one.
            if connection.execute("SELECT to_regnamespace(%s)", (self.namespace,)).fetchall() == [(None,)]:
                self._rows(connection, "make_schema")
            self._rows(connection, "make_version")
            for migration in self._migrations[self._version(connection) :]:
                connection.execute(migration)
            self._rows(connection, "clear_version")
            self._rows(connection, "set_version", version=len(self.migrations))

    def _meant(self, error: Exception, *, is_unknown: bool) -> StoreError:
        """Return what an error of psycopg means to the caller, by its code (PostgreSQL, "Error Codes")."""
        text, code = _one_line(error), getattr(error, "sqlstate", None) or ""
        if is_unknown:
            return StoreUnavailable(
                f"{self}: {text}",
                is_fate_unknown=True,
                hint="the write may be done or not: read before you repeat it",
            )
        match code:
            case "53100" | "53200":
                return StoreFull(f"{self}: {text}", hint="make room on the server; nothing was written")
            case "55P03" | "57014" | "40P01" | "40001":
                return StoreLocked(f"{self}: {text}", hint="repeat it; look at what holds locks there for so long")
            case "54000":
                return StoreValueTooLarge(f"{self}: {text}", hint="keep less of it")
            case "42501":
                return StoreUnavailable(
                    f"{self}: {text}",
                    retryable=False,
                    hint="let this user create a schema in the database, or let it use the one that is there",
                )
            case _:
                return StoreUnavailable(
                    f"{self}: {text}", hint="check that the server runs and takes writes; the next use connects again"
                )

    def __repr__(self) -> str:
        return f"PostgresStore({self._shown!r}, namespace={self.namespace!r})"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
