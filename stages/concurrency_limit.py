"""Let only so many calls go on at once."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Hashable
from typing import Annotated, Literal

from msgspec import Meta

from ..pipeline.errors import APITimeoutError
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.runtimes.runtime import Event, Runtime
from ..pipeline.stage import Scope, Stage
from ..pipeline.streams.event_stream import finally_


class ConcurrencyLimit(Stage, frozen=True):
    """Let only so many calls go on at once; further ones wait for their turn, first come, first served.

    Outside Retry a call keeps its place while it waits for another attempt; inside, every attempt takes one. A stream
    keeps its place until it ends. Sync calls of a process have the places of one count, and the calls of each event
    loop those of another. Calls on stored responses pass by.

    Args:
        limit: places; >= 1.
        per: "all" counts all calls together, "provider" and "model" those of each apart (inside Resolve).

    Raises:
        APITimeoutError: the call's time was over before there was a place; nothing was sent.
    """

    limit: Annotated[int, Meta(ge=1)]
    per: Literal["all", "provider", "model"] = "all"

    sets = ()

    def setup(self, scope: Scope) -> object:
        return _Queues(self.limit)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        context = request.context
        if request.operation != "create" or context.dry:
            return await call_next(request)
        queue = context.state_of(self, _Queues).of((context.runtime.home(), self._counted(request)))
        if not await context.waiting(queue.take(context.runtime, context.time_left())):
            raise APITimeoutError(
                f"no place among {self.limit} became free within the call's time",
                limit="total",
                limit_s=context.timeouts.total,
                request_sent=False,
                hint="read streams to their end or close them, or raise the limit of the stage ConcurrencyLimit",
            )
        try:
            reply = await call_next(request)
        except BaseException:
            queue.give()
            raise
        finally_(reply, lambda outcome: queue.give())
        return reply

    def _counted(self, request: Request) -> Hashable:
        target = request.target
        if self.per == "all" or target is None:
            return None
        return (target.provider, target.base_url, target.model if self.per == "model" else None)


class _Queues:
    """The queues of a client, made when they are needed, and forgotten with their event loops' places."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._queues: dict[Hashable, _Queue] = {}

    def of(self, key: Hashable) -> _Queue:
        with self._lock:
            found = self._queues.get(key)
            if found is None:
                if len(self._queues) >= _MANY:  # most of them of event loops that have ended
                    self._queues = {key: queue for key, queue in self._queues.items() if queue.is_used}
                found = self._queues[key] = _Queue(self._limit)
            return found


_MANY = 256
_LOOK_S = 1.0


class _Queue:
    """Places, and who waits for one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._free = limit
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter] = deque()

    @property
    def is_used(self) -> bool:
        return self._free < self._limit or bool(self._waiting)

    async def take(self, runtime: Runtime, seconds: float) -> bool:
        """Take a place; wait for one at most so long. False when there was none."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            waiter = _Waiter(runtime.event())
            self._waiting.append(waiter)
        ends_at = runtime.now() + seconds
        try:
            while not waiter.has_place and (left := ends_at - runtime.now()) > 0:
                # A stream that was dropped gives its place back from whatever thread collects it, which cannot wake a
                # task of an event loop; so look now and then.
                await waiter.bell.wait(min(left, _LOOK_S))
        except BaseException:
            if not self._leave(waiter):
                self.give()
            raise
        return waiter.has_place or not self._leave(waiter)

    def give(self) -> None:
        """Give a place back: to the first who waits."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            waiter = self._waiting.popleft()
            waiter.has_place = True
        with contextlib.suppress(RuntimeError):  # from a thread without the waiter's event loop
            waiter.bell.set()

    def _leave(self, waiter: _Waiter) -> bool:
        """Leave the queue; False when a place was handed over in between, which has to be used or given back."""
        with self._lock:
            if not waiter.has_place:
                self._waiting.remove(waiter)
                return True
        return False


class _Waiter:
    __slots__ = ("bell", "has_place")

    def __init__(self, bell: Event) -> None:
        self.bell = bell
        self.has_place = False
