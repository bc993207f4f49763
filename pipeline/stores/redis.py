"""The store on a Redis server: for many processes and machines.

A value is a hash with the fields `value` and `version`, a log is a list; Redis expires them itself. What must happen
at once is a Lua script, which Redis runs alone and whole (Redis documentation, "Scripting with Lua", read 2026-11).

How much of what was acknowledged survives is the server's setting (`appendonly`, `appendfsync`), see docs/stores.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import (
    InvalidParameter,
    MissingExtra,
    StoreError,
    StoreFull,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreUnreadable,
)
from .forks import watch_forks
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
    import redis

SCHEMA = 1

# The counter can be behind when the server has evicted it; versions of one key rise all the same.
_WRITE = """
local have = tonumber(redis.call('HGET', KEYS[1], 'version') or 0)
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= have then return {0, have} end
local version = redis.call('INCR', KEYS[2])
if version <= have then
    version = have + 1
    redis.call('SET', KEYS[2], version)
end
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'version', version)
if ARGV[3] == '' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return {1, version}
"""

_APPEND = """
local length = redis.call('LLEN', KEYS[1])
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= length then return {0, length} end
for i = 3, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {1, length + #ARGV - 2}
"""

_DELETE = """
local count = 0
for i = 1, #KEYS, 2 do
    if redis.call('DEL', KEYS[i], KEYS[i + 1]) > 0 then count = count + 1 end
end
return count
"""


class RedisStore:
    """Keeps values and logs on one Redis server; not in a Redis Cluster, since one read asks for many keys.

    Args:
        url: "redis://…", "rediss://…" or "unix://…", with what the package redis takes behind "?".
        namespace: what its keys begin with, so that several stores can share a server.
        max_bytes: the largest value.
        timeout_s: how long to wait for a connection and for each piece of an answer, seconds.
        max_connections: how many connections a process has at most; further threads wait for one.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "antiphon",
        max_bytes: int = MAX_BYTES,
        timeout_s: float = 5.0,
        max_connections: int = 16,
    ) -> None:
        self.namespace = check_namespace(namespace)
        self.max_bytes = max_bytes
        self.timeout_s = timeout_s
        self.max_connections = max_connections
        self._shown = masked_url(url)
        self._pool = self._make_pool(url)
        self._is_checked = False
        watch_forks(self)

    def _make_pool(self, url: str) -> redis.BlockingConnectionPool:
        try:
            from redis import BlockingConnectionPool
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingExtra(
                f"store {self._shown}: the package redis is not installed", hint="pip install 'antiphon[redis]'"
            ) from error
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=self.max_connections,
                timeout=self.timeout_s,
                socket_timeout=self.timeout_s,
                socket_connect_timeout=self.timeout_s,
                # Only for connecting and its pings: commands are sent by `_ask`, which decides itself what to repeat.
                retry=Retry(NoBackoff(), 1),
                health_check_interval=30,
                protocol=2,
            )
            pool.connection_class(**pool.connection_kwargs)  # does no I/O, and knows what may stand behind "?"
        except (TypeError, ValueError):
            raise InvalidParameter(  # without the URL, and the cause that quotes it: passwords stand in wrong places
                "the redis:// URL of the store cannot be read", param="url", hint="redis://user:password@host:6379/0"
            ) from None
        return pool

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        check_keys(keys)
        if not keys:
            return []
        rows = self._ask(*(("HMGET", self._value(key), "value", "version") for key in keys))
        return [None if version is None else Entry(value, int(version)) for value, version in rows]

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        check_keys((key,))
        check_value(key, value, self.max_bytes)
        expected = "" if expect is None else expect
        names = (self._value(key), f"{self.namespace}:versions")
        [(is_done, found)] = self._ask(("EVAL", _WRITE, 2, *names, value, expected, _ms(ttl_s)), is_write=True)
        if not is_done:
            raise other_version(key, expect, found)
        return int(found)

    def delete(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        names = [name for key in dict.fromkeys(keys) for name in (self._value(key), self._log(key))]
        if not names:
            return 0
        [count] = self._ask(("EVAL", _DELETE, len(names), *names), is_write=True)
        return int(count)

    def append(self, key: str, values: Sequence[bytes], *, start: int | None = None, ttl_s: float | None = None) -> int:
        check_keys((key,))
        for value in values:
            check_value(key, value, self.max_bytes)
        expected = "" if start is None else start
        command = ("EVAL", _APPEND, 1, self._log(key), expected, _ms(ttl_s), *values)
        [(is_done, length)] = self._ask(command, is_write=True)
        if not is_done:
            raise other_length(key, start, length)
        return int(length)

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        check_keys((key,))
        check_range(start, limit)
        if not limit:
            return []
        [values] = self._ask(("LRANGE", self._log(key), start, start + limit - 1))
        return list(values)

    def close(self) -> None:
        self._pool.disconnect()

    def before_fork(self) -> None:
        """Nothing: sockets may be open in both processes while only one uses them."""

    def after_fork(self, *, in_child: bool) -> None:
        if in_child:  # another thread may have held the pool's locks
            old = self._pool
            self._pool = type(old)(
                old.max_connections, old.timeout, connection_class=old.connection_class, **old.connection_kwargs
            )

    def _value(self, key: str) -> str:
        return f"{self.namespace}:value:{key}"

    def _log(self, key: str) -> str:
        return f"{self.namespace}:log:{key}"

    def _ask(self, *commands: tuple[object, ...], is_write: bool = False) -> list[Any]:
        """Send commands by one round trip, return their answers. A read is repeated once on a new connection."""
        from redis.exceptions import ConnectionError, RedisError

        pool: Any = self._pool  # parts of it are without types
        is_last = is_write
        while True:
            is_sent = False
            try:
                connection = pool.get_connection()  # one that the server has closed is opened again here
                try:
                    connection.check_health()
                    self._check_schema(connection)
                    is_sent = True
                    return _exchange(connection, commands)
                except BaseException:
                    connection.disconnect()  # answers may be unread
                    raise
                finally:
                    pool.release(connection)
            except RedisError as error:
                self._is_checked = False  # what answers next may be another server
                if is_last or not is_sent or type(error) is not ConnectionError:
                    raise self._meant(error, is_unknown=is_sent and is_write) from error
            is_last = True

    def _check_schema(self, connection: Any) -> None:
        if self._is_checked:
            return
        name = f"{self.namespace}:schema"
        [found] = _exchange(connection, [("GET", name)])
        if found is None:
            _exchange(connection, [("SETNX", name, SCHEMA)])
        elif int(found) > SCHEMA:
            raise StoreSchemaNewer(
                f"{self} has schema version {int(found)}; this version of antiphon knows {SCHEMA}",
                hint="use the newer antiphon, or another namespace",
            )
        self._is_checked = True

    def _meant(self, error: Exception, *, is_unknown: bool) -> StoreError:
        """Return what an error of the package redis means to the caller."""
        from redis import exceptions as kinds

        text = str(error)
        if isinstance(error, kinds.OutOfMemoryError) or text.startswith("OOM "):
            return StoreFull(f"{self}: the server's memory is full", hint="raise maxmemory, or keep less")
        if text.startswith("WRONGTYPE"):
            return StoreUnreadable(
                f"{self}: something else stands under a key of this store", hint="give the store a namespace of its own"
            )
        if isinstance(error, (kinds.AuthenticationError, kinds.AuthorizationError, kinds.NoPermissionError)):
            return StoreUnavailable(
                f"{self} refused this user: {text}",
                retryable=False,
                hint="check the user, the password and its rights",
            )
        if isinstance(error, kinds.ResponseError):
            return StoreUnavailable(f"{self}: {text}", hint="as the server says; look at its log")
        is_unknown = is_unknown and not isinstance(error, kinds.BusyLoadingError)
        return StoreUnavailable(
            f"{self}: {text}",
            is_fate_unknown=is_unknown,
            hint="the write may be done or not: read before you repeat it"
            if is_unknown
            else "check that the server runs at this address; the next use connects again",
        )

    def __repr__(self) -> str:
        return f"RedisStore({self._shown!r}, namespace={self.namespace!r})"


def _exchange(connection: Any, commands: Sequence[tuple[object, ...]]) -> list[Any]:
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [connection.read_response() for _ in commands]


def _ms(ttl_s: float | None) -> object:
    check_ttl(ttl_s)
    return "" if ttl_s is None else max(1, math.ceil(ttl_s * 1000))
