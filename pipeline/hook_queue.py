"""Hooks that run beside the call: async functions, and plain ones that are marked with `in_background`.

Where each runs:

    hook                 in a sync call                            in an async call
    plain                in place                                  in place
    async                on a loop in a thread of the client's     as a task of the caller's loop
    in_background(plain) in the client's hook thread               in the client's hook thread

What waits is bounded. When `limit` signals wait for the thread, or for one event loop, further ones are dropped and
counted: a hook that cannot keep up costs its own signals, never memory or the calls' time. Order is kept within the
thread, and within each loop.
"""

from __future__ import annotations

import atexit
import contextvars
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable
from inspect import CO_COROUTINE, iscoroutinefunction
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import SetupError
from .signals import Signal, Sink

if TYPE_CHECKING:
    from .runtimes.driver import Portal
    from .runtimes.runtime import Runtime
    from .runtimes.tasks import Task

Hook: TypeAlias = Callable[[Any], object]
"""Takes a signal; plain or async."""

FLUSH_S = 5.0
"""How long a client that closes waits for what its hooks have still to do, seconds."""


class in_background:
    """Mark a plain hook as slow: it runs in the client's hook thread instead of in the call.

        Client(hooks=[in_background(post_to_dashboard)])

    It must be safe in another thread, and sees a call some time after it happened. See `Client.flush`.
    """

    __slots__ = ("hook",)

    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def __call__(self, signal: Signal) -> object:
        return self.hook(signal)

    def __repr__(self) -> str:
        return f"in_background({self.hook!r})"


def is_async(hook: Any) -> bool:
    """Tell whether calling the hook gives a coroutine."""
    if hook.__class__ is FunctionType:  # nearly always, and asked for each call that brings hooks
        return bool(hook.__code__.co_flags & CO_COROUTINE)
    return iscoroutinefunction(hook) or iscoroutinefunction(getattr(hook, "__call__", None))  # noqa: B004


def runs_in_place(hook: object) -> bool:
    """Tell whether a call runs the hook itself."""
    return hook.__class__ is not in_background and not is_async(hook)


def wants_stage_times(hook: object) -> bool:
    """Tell whether calls that this hook watches should note the time of each stage."""
    return bool(getattr(getattr(hook, "hook", hook), "wants_stage_times", False))


class HookQueue:
    """What one client's hooks have still to do.

    Args:
        limit: signals that may wait, for the thread and for each event loop.
        failed: counts and reports a hook's error.
        portal: opens the event loop on which async hooks of sync calls run.

    Attributes:
        dropped: signals that found no room, or whose event loop ended first.
    """

    def __init__(self, limit: int, failed: Callable[[Exception], None], portal: Callable[[], Portal]) -> None:
        self.failed = failed
        self.portal = portal
        self._limit = limit
        self._lock = threading.Lock()
        self._loops: weakref.WeakKeyDictionary[Any, _LoopLane] = weakref.WeakKeyDictionary()
        self._thread = _ThreadLane(limit)
        weakref.finalize(self, self._thread.retire).atexit = False

    @property
    def dropped(self) -> int:
        return self._thread.dropped + sum(lane.dropped for lane in list(self._loops.values()))

    def sink(self, hook: Hook, runtime: Runtime) -> Sink:
        """Return what hands a call's signals to the hook: the hook itself where it runs in place."""
        if isinstance(hook, in_background):
            slow = hook.hook
            return lambda signal: self._thread.put(slow, signal, self)
        if not is_async(hook):
            return hook  # type: ignore[return-value]

        def put(signal: Signal) -> None:
            lane = self._lane(runtime)
            if lane is None:
                self._thread.put(hook, signal, self)
            else:
                lane.put(hook, signal, runtime)

        return put

    def _lane(self, runtime: Runtime) -> _LoopLane | None:
        place = _loop_of(runtime)
        if place is None:
            return None
        lane = self._loops.get(place)
        if lane is None:
            with self._lock:
                lane = self._loops.setdefault(place, _LoopLane(self._limit, self.failed))
        return lane

    def flush(self, timeout_s: float | None = None) -> bool:
        """Block until the hook thread has done what is queued now; return whether it has."""
        return self._thread.flush(timeout_s)

    async def aflush(self, runtime: Runtime) -> None:
        """Wait until the hooks of this event loop, and the hook thread, have done what is queued now."""
        lane = self._loops.get(_loop_of(runtime))
        if lane is not None and lane.last is not None:
            await lane.last.wait()
        if not self._thread.is_idle:
            await runtime.call(self._thread.flush)

    def close(self, wait_s: float = FLUSH_S) -> None:
        """Do what is queued, for so many seconds at the most, and end the thread. Blocks."""
        self._thread.close(wait_s)


def _loop_of(runtime: Runtime) -> object | None:
    """Return the event loop that runs the caller; None in sync calls, and where a stream is collected elsewhere."""
    if not runtime.is_async:
        return None
    try:
        return runtime.home()
    except SetupError:
        return None


class _LoopLane:
    """The async hooks of one event loop: a chain of tasks, each of which waits for the one before it."""

    def __init__(self, limit: int, failed: Callable[[Exception], None]) -> None:
        self.last: Task | None = None
        self._limit = limit
        self._failed = failed
        self._given = 0
        self._ran = 0
        self._refused = 0

    @property
    def dropped(self) -> int:
        lost = self._given - self._ran if self.last is None or self.last.is_done else 0
        return self._refused + lost

    def put(self, hook: Hook, signal: Signal, runtime: Runtime) -> None:
        if self._given - self._ran >= self._limit:
            self._refused += 1
            return
        self._given += 1
        before = self.last

        async def run() -> None:
            nonlocal before
            try:
                if before is not None:
                    await before.wait()
                    before = None
                await hook(signal)  # type: ignore[misc]
            except Exception as error:
                self._failed(error)
            self._ran += 1

        self.last = runtime.spawn(run, "hook")  # in a copy of the caller's context


class _ThreadLane:
    """A thread that runs hooks one by one, each in the context in which its signal was sent.

    It knows its queue, and thereby the client, only by what waits: an idle thread keeps no client alive.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[tuple[Hook, Signal, contextvars.Context, HookQueue]] = deque()
        self._changed = threading.Condition()
        self._given = 0
        self._ran = 0
        self._closed = False
        self._thread: threading.Thread | None = None
        self.dropped = 0

    @property
    def is_idle(self) -> bool:
        return self._ran == self._given

    def put(self, hook: Hook, signal: Signal, queue: HookQueue) -> None:
        with self._changed:
            if self._closed or len(self._waiting) >= self._limit:
                self.dropped += 1
                return
            self._given += 1
            self._waiting.append((hook, signal, contextvars.copy_context(), queue))
            if self._thread is None or not self._thread.is_alive():  # a fork leaves it behind
                self._thread = threading.Thread(target=self._run, name="antiphon-hooks", daemon=True)
                _flush_at_exit(self)
                self._thread.start()
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._changed.wait()
                hook, signal, context, queue = self._waiting.popleft()
            try:
                context.run(_call, hook, signal, queue.portal)
            except Exception as error:
                queue.failed(error)
            finally:
                del hook, signal, context, queue  # else the idle thread would keep the last call's response
                with self._changed:
                    self._ran += 1
                    self._changed.notify_all()

    def flush(self, timeout_s: float | None = None) -> bool:
        with self._changed:
            upto = self._given
            return self._changed.wait_for(lambda: self._ran >= upto, timeout_s)

    def close(self, wait_s: float = FLUSH_S) -> None:
        with self._changed:
            if self._thread is not None and self._thread.is_alive() and self._thread is not threading.current_thread():
                self._changed.wait_for(lambda: self.is_idle, wait_s)
            self._closed = True
            self.dropped += len(self._waiting)
            self._given -= len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()

    def retire(self) -> None:
        """Let the thread do what is queued, and end. Does not wait: the garbage collector calls it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


_lanes: weakref.WeakSet[_ThreadLane] = weakref.WeakSet()


def _flush_at_exit(lane: _ThreadLane) -> None:
    if not _lanes:
        atexit.register(_flush_all)
    _lanes.add(lane)


def _flush_all() -> None:
    for lane in list(_lanes):
        lane.close()


def _call(hook: Hook, signal: Signal, portal: Callable[[], Portal]) -> None:
    if is_async(hook):
        portal().run(_awaited(hook(signal)))  # type: ignore[arg-type]
    else:
        hook(signal)


async def _awaited(result: Awaitable[object]) -> object:
    return await result
