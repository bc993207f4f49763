"""The contract of stores: versioned values and append-only logs under text keys, for whoever keeps state.

A store is plain blocking code, safe to share between threads. Stages call it through `runtime.call`, so one body
serves sync calls, asyncio and trio. Values are bytes that a store never looks into.

A key has at most one value and one log, which live and expire apart and are deleted together. Every write gives its
value a version that no other write of this store gets, also after the key was deleted, so whoever writes with
`expect` cannot take a new value for the one that it has read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import msgspec

from ..errors import InvalidParameter, StoreConflict, StoreValueTooLarge, did_you_mean
from ..secret import MASK
from ..wording import quoted

if TYPE_CHECKING:
    from .seal import Seal

MAX_BYTES = 64 * 1024 * 1024
"""Largest value, unless told otherwise: a long conversation with pictures in it."""

MAX_KEY_CHARS = 1000
MAX_TTL_S = 100 * 365 * 86400.0
_MAX_POSITION = 2**53


class Entry(msgspec.Struct, frozen=True):
    """What a store has under a key.

    Args:
        value: as it was written.
        version: to give as `expect` when it is written again.
    """

    value: bytes
    version: int


class Store(Protocol):
    """Blocking, thread-safe, and usable on both sides of a fork. Nothing is opened before the first use.

    Raises:
        StoreError: one of its subclasses, from every method.
    """

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        """Return what is there, in the keys' order, by one round trip."""
        ...

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        """Put a value in place of what is there; return its version, which is never 0.

        Args:
            ttl_s: seconds until it expires, > 0; None keeps it until it is deleted.
            expect: None: whatever is there; 0: nothing may be there; n: version n must be there.

        Raises:
            StoreConflict: something else is there than `expect` says.
        """
        ...

    def delete(self, keys: Sequence[str]) -> int:
        """Remove the keys' values and logs; return how many of the keys had any."""
        ...

    def append(self, key: str, values: Sequence[bytes], *, start: int | None = None, ttl_s: float | None = None) -> int:
        """Add to the end of the key's log, all values or none; return the log's length.

        Args:
            start: the length that the log must have before; None: whatever it has.
            ttl_s: seconds until the whole log expires, counted from now; None leaves that as it is.

        Raises:
            StoreConflict: the log has another length than `start`.
        """
        ...

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        """Return at most `limit` values of the key's log, from position `start` on."""
        ...

    def close(self) -> None:
        """Give up connections and files. Idempotent; what was written stays, in memory too."""
        ...


_WRITTEN_BY_ANOTHER = "somebody else has written there: read it again, and decide anew"


def other_version(key: str, expected: int | None, found: int) -> StoreConflict:
    """Return the error of a write that expected another version."""
    return StoreConflict(
        f"store key {quoted(key)}: version {expected} is expected and {found} is there",
        expected=expected or 0,
        found=found,
        hint=_WRITTEN_BY_ANOTHER,
    )


def other_length(key: str, expected: int | None, found: int) -> StoreConflict:
    """Return the error of an append that expected another length of the log."""
    return StoreConflict(
        f"log of store key {quoted(key)}: length {expected} is expected, and it has {found}",
        expected=expected or 0,
        found=found,
        hint=_WRITTEN_BY_ANOTHER,
    )


def key_of(tenant: str | None, kind: str, id: str) -> str:
    """Return the key under which a tenant's thing is kept, e.g. "=acme/response/resp_1".

    Different arguments make different keys, whatever characters they hold, and None is not any name. Keys are
    printable ASCII. A part over 200 characters stands in it as its SHA-256.
    """
    whose = "" if tenant is None else "=" + _escaped(tenant)
    return f"{whose}/{_escaped(kind)}/{_escaped(id)}"


def _escaped(part: str) -> str:
    text = quote(part, safe="", errors="surrogatepass")
    return text if len(text) <= 200 else "#" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()


def open_store(url: str, *, seal: Seal | None = None, max_bytes: int = MAX_BYTES, timeout_s: float = 5.0) -> Store:
    """Return the store that a URL names; the caller closes it.

        >>> import antiphon
        >>> store = antiphon.open_store("memory://")
        >>> version = store.write(antiphon.key_of("acme", "note", "1"), b"hello", ttl_s=60)
        >>> store.read([antiphon.key_of("acme", "note", "1")])[0].value
        b'hello'
        >>> store.close()

    Args:
        url: "memory://"; "sqlite:///relative.db", "sqlite:////absolute.db"; "redis://…", "rediss://…" and "unix://…" as
            the package redis takes them; "postgresql://…" as libpq takes it.
        seal: encrypts values at rest, an object with `seal` and `unseal` or a pair of functions, bytes → bytes.
        max_bytes: the largest value, or value of a log, before it is sealed.
        timeout_s: how long to wait for a connection, an answer or a lock, seconds.

    Raises:
        InvalidParameter: no such kind of store, or a URL that cannot be read.
        MissingExtra: the package for this kind is not installed.
    """
    room = (
        max_bytes if seal is None else max_bytes + max_bytes // 2 + 4096
    )  # sealed values are longer, base64 by a third
    store: Store
    scheme, mark, _ = url.partition("://")
    match scheme if mark else None:
        case "memory":
            from .memory import MemoryStore

            store = MemoryStore(max_bytes=room)
        case "sqlite":
            from .sqlite import SqliteStore

            store = SqliteStore(_file_of(url), max_bytes=room, timeout_s=timeout_s)
        case "redis" | "rediss" | "unix":
            from .redis import RedisStore

            store = RedisStore(url, max_bytes=room, timeout_s=timeout_s)
        case "postgresql" | "postgres":
            from .postgres import PostgresStore

            store = PostgresStore(url, max_bytes=room, timeout_s=timeout_s)
        case None:
            raise InvalidParameter(
                "the store's URL has no ://",  # not shown: it may hold a password
                param="url",
                hint="memory://, sqlite:///state.db, redis://host:6379/0, postgresql://host/database",
            )
        case _:
            raise InvalidParameter(
                f'there is no store "{scheme}://"{did_you_mean(scheme, KINDS)}',
                param="url",
                hint=f"known: {', '.join(f'{kind}://' for kind in KINDS)}",
            )
    if seal is None:
        return store
    from .seal import SealedStore

    return SealedStore(store, seal, max_bytes=max_bytes)


KINDS = ("memory", "sqlite", "redis", "rediss", "unix", "postgresql", "postgres")


def _file_of(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    if path in (url, "", ":memory:"):
        raise InvalidParameter(
            f"the store URL {quoted(url)} names no file",
            param="url",
            hint="write sqlite:///relative.db or sqlite:////absolute.db; memory:// keeps state in memory",
        )
    return path


def check_keys(keys: Sequence[str]) -> None:
    """Raise InvalidParameter for a key that not every store can take; those of `key_of` all can."""
    for key in keys:
        if not key or len(key) > MAX_KEY_CHARS or not (key.isascii() and key.isprintable()):
            raise InvalidParameter(
                f"store key {quoted(key[:60])} is not 1 to {MAX_KEY_CHARS} printable ASCII characters",
                param="key",
                hint="make keys by key_of(tenant, kind, id)",
            )


def check_value(key: str, value: bytes, max_bytes: int) -> None:
    """Raise InvalidParameter for a value that is not bytes, StoreValueTooLarge for one over the bound."""
    if not isinstance(value, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise InvalidParameter(f"the value for store key {quoted(key)} is {type(value).__name__}; bytes is expected")
    if len(value) > max_bytes:
        raise StoreValueTooLarge(
            f"the value for store key {quoted(key)} has {len(value):,} bytes; this store takes at most {max_bytes:,}",
            hint="keep less of it, or open the store with a larger max_bytes",
        )


def check_ttl(ttl_s: float | None) -> None:
    """Raise InvalidParameter for a time to live that is no time, or longer than servers can count."""
    if ttl_s is not None and not 0 < ttl_s <= MAX_TTL_S:
        raise InvalidParameter(
            f"ttl_s is {quoted(ttl_s)}; seconds > 0 and up to {MAX_TTL_S:g}, or None, is expected", param="ttl_s"
        )


def check_range(start: int, limit: int) -> None:
    """Raise InvalidParameter for positions that no log has."""
    if not (0 <= start < _MAX_POSITION and 0 <= limit < _MAX_POSITION):
        raise InvalidParameter(f"log(start={start}, limit={limit}); 0 to 2**53 is expected", param="start")


def check_namespace(namespace: str) -> str:
    """Return a store's namespace, or raise InvalidParameter for one that not every server takes."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", namespace):
        raise InvalidParameter(
            f"namespace {quoted(namespace)} is not 1 to 63 of a-z, 0-9 and _, the first no digit", param="namespace"
        )
    return namespace


def masked_url(url: str) -> str:
    """Return a URL without the passwords in it: before the host, and behind "?"."""
    shown = re.sub(r"([?&][^=&]*password[^=&]*=)[^&]*", rf"\1{MASK}", url)
    scheme, _, rest = shown.partition("://")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}://{user}{colon and ':' + MASK}{at}{host}"
