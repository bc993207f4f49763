"""Which connections there are, and who may have one next: bookkeeping only, no I/O and no waiting.

A call first takes a *permit* (there are as many as connections allowed), then a connection: an idle one of its origin,
newest first, or a new one. Every method runs to its end without waiting, so a caller that is cancelled or interrupted
between two of them leaves a consistent pool. The pool does no locking; whoever owns it does.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Pooled(Protocol):
    """A connection as the pool sees it."""

    key: Hashable
    """What it connects to; only a call with an equal key may reuse it."""
    idle_since: float
    """When it was last put back, monotonic seconds."""


class Waiter(Protocol):
    """Somebody who waits for a permit."""

    def wake(self) -> None:
        """Say that a permit is theirs. Must not block."""
        ...


Item = TypeVar("Item", bound=Pooled)


class Pool(Generic[Item]):
    """Permits, their queue, and the connections in use and idle.

    Args:
        limit: how many permits, and at the same time how many connections in use and idle together; >= 1.
        keepalive_s: how long a connection may stay idle, seconds.
    """

    __slots__ = ("_idle", "_queue", "_stacks", "free", "keepalive_s", "limit", "live")

    def __init__(self, limit: int, keepalive_s: float) -> None:
        self.limit = limit
        self.keepalive_s = keepalive_s
        self.free = limit
        self.live: set[Item] = set()
        # The idle ones twice: by origin for the newest that fits, and in order of age for the oldest of all.
        # Both are in order of time, so the oldest of all is also the bottom of its own stack.
        self._stacks: dict[Hashable, deque[Item]] = {}
        self._idle: OrderedDict[Item, None] = OrderedDict()
        self._queue: OrderedDict[Waiter, None] = OrderedDict()

    def take(self) -> bool:
        """Take a permit if one is free. While somebody waits none is: permits are handed over, never raced for."""
        if not self.free:
            return False
        self.free -= 1
        return True

    def enqueue(self, waiter: Waiter) -> None:
        """Wait for a permit, behind all others."""
        self._queue[waiter] = None

    def withdraw(self, waiter: Waiter) -> bool:
        """Leave the queue. False when a permit has been handed over already: it must be used or given on."""
        if waiter not in self._queue:
            return False
        del self._queue[waiter]
        return True

    def give(self) -> None:
        """Return a permit: to the first in the queue, or to the free ones."""
        if self._queue:
            self._queue.popitem(last=False)[0].wake()
        else:
            self.free += 1

    def pick(self, key: Hashable) -> Item | None:
        """Take the newest idle connection for `key` into use, if there is one."""
        stack = self._stacks.get(key)
        if not stack:
            return None
        item = stack.pop()
        if not stack:
            del self._stacks[key]
        del self._idle[item]
        self.live.add(item)
        return item

    def admit(self, item: Item) -> Item | None:
        """Take a new connection into use; return the idle one that must be closed to stay within the limit, if any."""
        self.live.add(item)
        return self._pop_oldest() if self._idle and len(self.live) + len(self._idle) > self.limit else None

    def put_back(self, item: Item, now: float) -> None:
        """Move a connection whose exchange ended cleanly from use to idle."""
        self.live.discard(item)
        item.idle_since = now
        self._stacks.setdefault(item.key, deque()).append(item)
        self._idle[item] = None

    def discard(self, item: Item) -> None:
        """Forget a connection that was in use; the caller closes it."""
        self.live.discard(item)

    def sweep(self, now: float) -> list[Item]:
        """Take out and return the connections that have been idle for too long; the caller closes them."""
        expired: list[Item] = []
        while self._idle and now - next(iter(self._idle)).idle_since > self.keepalive_s:
            expired.append(self._pop_oldest())
        return expired

    def clear(self) -> list[Item]:
        """Take out and return all idle connections; the caller closes them."""
        idle = list(self._idle)
        self._idle.clear()
        self._stacks.clear()
        return idle

    @property
    def idle(self) -> int:
        """How many connections are idle."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many wait for a permit."""
        return len(self._queue)

    def _pop_oldest(self) -> Item:
        item, _ = self._idle.popitem(last=False)
        stack = self._stacks[item.key]
        stack.popleft()
        if not stack:
            del self._stacks[item.key]
        return item
