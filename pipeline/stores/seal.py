"""Encryption at rest: a hook between a store and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from ..errors import InvalidParameter, StoreUnreadable
from ..wording import quoted
from .store import Entry, Store, check_keys, check_value


class Sealer(Protocol):
    """Makes bytes unreadable for whoever has the store and not the key. Safe to use from many threads."""

    def seal(self, data: bytes, /) -> bytes: ...

    def unseal(self, data: bytes, /) -> bytes:
        """Return what was sealed; raise any exception when it was altered or sealed with another key."""
        ...


Seal: TypeAlias = Sealer | tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


class SealedStore:
    """A store that keeps sealed values only. Keys stay readable.

    The key is sealed together with its value, so whoever can write to the store cannot put one tenant's value under
    another's key.

    Args:
        store: what keeps the sealed values; closed with this one.
        seal: a `Sealer`, or the pair of its functions.
        max_bytes: the largest value, before it is sealed.
    """

    def __init__(self, store: Store, seal: Seal, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._store = store
        pair = seal if isinstance(seal, tuple) else (getattr(seal, "seal", None), getattr(seal, "unseal", None))
        if len(pair) != 2 or not all(map(callable, pair)):
            raise InvalidParameter(
                f"seal is {type(seal).__name__} without the two functions that are expected",
                param="seal",
                hint="give an object with seal and unseal, or the pair (seal, unseal)",
            )
        self._seal: Callable[[bytes], bytes]
        self._unseal: Callable[[bytes], bytes]
        self._seal, self._unseal = pair  # type: ignore[assignment]

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        return [
            entry and Entry(self._opened(key, entry.value), entry.version)
            for key, entry in zip(keys, self._store.read(keys), strict=True)
        ]

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        return self._store.write(key, self._sealed(key, value), ttl_s=ttl_s, expect=expect)

    def delete(self, keys: Sequence[str]) -> int:
        return self._store.delete(keys)

    def append(self, key: str, values: Sequence[bytes], *, start: int | None = None, ttl_s: float | None = None) -> int:
        return self._store.append(key, [self._sealed(key, value) for value in values], start=start, ttl_s=ttl_s)

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        return [self._opened(key, value) for value in self._store.log(key, start, limit)]

    def close(self) -> None:
        self._store.close()

    def _sealed(self, key: str, value: bytes) -> bytes:
        check_keys((key,))
        check_value(key, value, self.max_bytes)
        return self._seal(key.encode() + b"\0" + value)  # a key holds no NUL

    def _opened(self, key: str, sealed: bytes) -> bytes:
        try:
            opened = self._unseal(sealed)
        except Exception as error:  # whatever the user's library raises
            raise StoreUnreadable(
                f"the value of store key {quoted(key)} cannot be unsealed: {type(error).__name__}",
                hint="it was altered, or sealed with another key; keep old keys for reading, or delete it",
            ) from error
        name = key.encode() + b"\0"
        if not opened.startswith(name):
            raise StoreUnreadable(
                f"the value of store key {quoted(key)} was sealed for another key",
                hint="somebody has moved it inside the store; delete it, and look who can write there",
            )
        return opened[len(name) :]

    def __repr__(self) -> str:
        return f"SealedStore({self._store!r})"
