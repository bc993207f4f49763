"""The store in this process's memory: bounded, and gone with the process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from ..errors import InvalidParameter, StoreFull
from ..wording import quoted
from .forks import watch_forks
from .store import MAX_BYTES, Entry, check_keys, check_range, check_ttl, check_value, other_length, other_version

_FOREVER = float("inf")
_SWEEP_S = 60.0
# About what an object of each kind costs beside its bytes, so that many small ones are counted honestly.
_KEY_COST = 400
_VALUE_COST = 50


class MemoryStore:
    """Keeps what was used last; what has not been used for the longest is forgotten when room is needed.

    Args:
        total_bytes: bound on all keys and values together, with what Python adds to them.
        max_keys: bound on the number of keys.
        max_bytes: the largest value.
        now: monotonic seconds.
    """

    def __init__(
        self,
        *,
        total_bytes: int = 256 * 1024 * 1024,
        max_keys: int = 100_000,
        max_bytes: int = MAX_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if total_bytes < 1 or max_keys < 1:
            raise InvalidParameter(f"MemoryStore(total_bytes={total_bytes}, max_keys={max_keys}): both must be >= 1")
        self.total_bytes = total_bytes
        self.max_keys = max_keys
        self.max_bytes = max_bytes
        self.used_bytes = 0
        self.evicted = 0
        """How many keys were forgotten to make room."""
        self._now = now
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._last_version = 0
        self._sweep_at = now() + _SWEEP_S
        self._lock = threading.RLock()  # a signal's handler may fork in the middle of an operation
        watch_forks(self)

    def read(self, keys: Sequence[str]) -> list[Entry | None]:
        check_keys(keys)
        now = self._now()
        with self._lock:
            return [self._entry(key, now) for key in keys]

    def _entry(self, key: str, now: float) -> Entry | None:
        slot = self._live(key, now)
        if slot is None:
            return None
        self._slots.move_to_end(key)
        return slot.entry

    def write(self, key: str, value: bytes, *, ttl_s: float | None = None, expect: int | None = None) -> int:
        check_keys((key,))
        check_value(key, value, self.max_bytes)
        check_ttl(ttl_s)
        now = self._now()
        with self._lock:
            slot = self._live(key, now)
            old = slot.entry if slot else None
            if expect is not None and expect != (found := old.version if old else 0):
                raise other_version(key, expect, found)
            more = len(value) - len(old.value) if old else len(value) + _VALUE_COST
            slot = self._grow(key, slot, more, now)
            self._last_version += 1
            slot.entry = Entry(value, self._last_version)
            slot.expires = _FOREVER if ttl_s is None else now + ttl_s
            return self._last_version

    def delete(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        now = self._now()
        with self._lock:
            return sum(self._live(key, now) is not None and self._drop(key) for key in keys)

    def append(self, key: str, values: Sequence[bytes], *, start: int | None = None, ttl_s: float | None = None) -> int:
        check_keys((key,))
        check_ttl(ttl_s)
        for value in values:
            check_value(key, value, self.max_bytes)
        now = self._now()
        with self._lock:
            slot = self._live(key, now)
            length = len(slot.log) if slot else 0
            if start is not None and start != length:
                raise other_length(key, start, length)
            if not values and not length:
                return 0
            slot = self._grow(key, slot, sum(map(len, values)) + _VALUE_COST * len(values), now)
            slot.log.extend(values)
            if ttl_s is not None:
                slot.log_expires = now + ttl_s
            return length + len(values)

    def log(self, key: str, start: int = 0, limit: int = 1000) -> list[bytes]:
        check_keys((key,))
        check_range(start, limit)
        with self._lock:
            slot = self._live(key, self._now())
            if slot is None:
                return []
            self._slots.move_to_end(key)
            return slot.log[start : start + limit]

    def close(self) -> None:
        """Do nothing: what is here stays, for whoever has the store too."""

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork(self, *, in_child: bool) -> None:
        self._lock.release()

    def _live(self, key: str, now: float) -> _Slot | None:
        """Return what is under a key without what has expired of it, None when nothing is left."""
        slot = self._slots.get(key)
        if slot is None or (slot.expires > now and slot.log_expires > now):
            return slot
        if slot.entry is not None and slot.expires <= now:
            self._account(slot, -len(slot.entry.value) - _VALUE_COST)
            slot.entry, slot.expires = None, _FOREVER
        if slot.log_expires <= now:
            self._account(slot, -sum(map(len, slot.log)) - _VALUE_COST * len(slot.log))
            slot.log, slot.log_expires = [], _FOREVER
        if slot.entry is None and not slot.log:
            self._drop(key)
            return None
        return slot

    def _grow(self, key: str, slot: _Slot | None, more: int, now: float) -> _Slot:
        """Return the key's slot, used last, with room for `more` bytes that the caller puts into it."""
        size = slot.size if slot else len(key) + _KEY_COST
        if size + more > self.total_bytes:
            raise StoreFull(
                f"store key {quoted(key)} would take {size + more:,} bytes of this store's {self.total_bytes:,}",
                hint="keep less of it, or make the MemoryStore with a larger total_bytes",
            )
        if now >= self._sweep_at:
            self._sweep(now)
        if slot is None:
            slot = self._slots[key] = _Slot()
            self._account(slot, size)
        else:
            self._slots.move_to_end(key)
        self._account(slot, more)
        while self.used_bytes > self.total_bytes or len(self._slots) > self.max_keys:
            self._drop(next(iter(self._slots)))
            self.evicted += 1
        return slot

    def _sweep(self, now: float) -> None:
        self._sweep_at = now + _SWEEP_S
        for key in list(self._slots):
            self._live(key, now)

    def _drop(self, key: str) -> bool:
        self.used_bytes -= self._slots.pop(key).size
        return True

    def _account(self, slot: _Slot, more: int) -> None:
        slot.size += more
        self.used_bytes += more

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._slots)} keys, {self.used_bytes:,} bytes)"


class _Slot:
    """What is under one key."""

    __slots__ = ("entry", "expires", "log", "log_expires", "size")

    def __init__(self) -> None:
        self.entry: Entry | None = None
        self.expires = _FOREVER
        self.log: list[bytes] = []
        self.log_expires = _FOREVER
        self.size = 0
