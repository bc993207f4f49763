"""Jobs of sync mode in threads: side by side, and how they are stopped.

A thread cannot be cancelled. What takes the place of cancellation is `Stopped`, which the runtime's methods raise in a
job that was told to stop; a read that blocks ends because its connection is shut.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

from .driver import drive
from .runtime import Job

T = TypeVar("T")


class Stopped(BaseException):
    """Ends a job in a thread for whose result nobody waits any more; what cancellation is in async calls."""


class Stop:
    """Tells the jobs of one gather or race, and those inside them, to stop."""

    __slots__ = ("_event", "_inner", "_lock", "_told", "wait")

    def __init__(self, outer: Stop | None) -> None:
        self._event = threading.Event()
        self._inner: list[Stop] = []
        self._lock = threading.Lock()
        self._told: list[Callable[[], object]] = []
        self.wait = self._event.wait
        if outer is not None:
            outer._inner.append(self)
            if outer._event.is_set():
                self.set()

    def set(self) -> None:
        with self._lock:  # so that none is told after its `telling` has ended
            self._event.set()
            for tell in self._told:
                tell()
        for stop in tuple(self._inner):
            stop.set()

    @contextlib.contextmanager
    def telling(self, tell: Callable[[], object]) -> Generator[None, None, None]:
        """Call quick `tell` when it is set, now or during the `with` block."""
        with self._lock:
            if self._event.is_set():
                tell()
            self._told.append(tell)
        try:
            yield
        finally:
            with self._lock:
                self._told.remove(tell)


current_stop: contextvars.ContextVar[Stop | None] = contextvars.ContextVar("antiphon_stop", default=None)


class ThreadWork(Generic[T]):
    """A job of sync mode for a thread of its own, or of somebody else's pool; any thread may stop it."""

    __slots__ = ("_job", "_scope", "_stop")

    def __init__(self, job: Job[T]) -> None:
        from ..network.transport import AbortScope

        self._job = job
        self._stop = Stop(None)
        self._scope = AbortScope(detached=True)

    def run(self) -> T:
        """Do it, in this thread. Raises Stopped, or what a shut connection raises, when it is stopped.

        One that is stopped before it begins is stopped by its first wait, so that it can tell.
        """
        current_stop.set(self._stop)
        with self._scope:
            return drive(self._job())

    def stop(self) -> None:
        self._stop.set()
        self._scope.abort()  # a blocked read in a thread can't be cancelled, but its socket can be shut

    @property
    def is_stopped(self) -> bool:
        return self._stop.wait(0)


def in_threads(jobs: Sequence[Job[T]], limit: int, *, first: bool) -> list[T]:
    """Run jobs in threads that see the caller's context; all results in order, or just the first one."""
    from concurrent.futures import ThreadPoolExecutor, wait

    from ..network.transport import AbortScope

    if not jobs:
        return []
    stop = Stop(current_stop.get())
    results: list[T] = []  # in the order of their arrival, as the errors
    errors: list[BaseException] = []
    running: set[AbortScope] = set()
    pool = ThreadPoolExecutor(max_workers=limit, thread_name_prefix="antiphon")

    def stop_all() -> None:
        stop.set()
        for scope in tuple(running):
            scope.abort()  # a blocked read in a thread can't be cancelled, but its socket can be shut

    def run(job: Job[T]) -> T:
        # The thread that ends it all also stops the others: until the caller wakes up they might begin a next job.
        current_stop.set(stop)
        with AbortScope() as scope:
            running.add(scope)
            try:
                if stop.wait(0):
                    raise Stopped
                result = drive(job())
            except BaseException as error:
                errors.append(error)
                if not first:
                    stop_all()
                raise
            finally:
                running.discard(scope)  # what it leaves open, such as a stream that it returns, is the caller's
        results.append(result)
        if first:
            stop_all()
        return result

    try:
        futures = [pool.submit(contextvars.copy_context().run, run, job) for job in jobs]
        wait(futures)
    except BaseException:  # Ctrl-C
        stop_all()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if first and results:
        return results[:1]
    if errors:
        raise errors[0]
    return [future.result() for future in futures]
