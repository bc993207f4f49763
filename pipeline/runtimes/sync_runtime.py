"""The runtime of sync calls: its coroutines block and return, and never suspend."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..http import Exchange, HttpRequest, Transport
from ..timeouts import Pace
from .runtime import Event, Job, Lock, Spawn, check_race
from .tasks import Crew, Task, Tasks, ThreadTask, report
from .thread_jobs import Stopped, ThreadWork, current_stop, in_threads

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


class SyncRuntime:
    """Blocks. One per client; safe to share between threads."""

    is_async = False

    def __init__(self, transport: Callable[[], Transport]) -> None:
        self._make_transport = transport
        self._transport: Transport | None = None
        self.tasks = Tasks()

    def open(self, request: HttpRequest, pace: Pace) -> Coroutine[Any, Any, Exchange]:
        if self._transport is None:
            self._transport = self._make_transport()
        return self._transport.open(request, pace)

    async def call(self, fn: Callable[..., T], *args: Any) -> T:
        return fn(*args)

    async def within(self, seconds: float, job: Job[T]) -> T:
        return await job()

    async def sleep(self, seconds: float) -> None:
        stop = current_stop.get()
        if stop is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise Stopped

    now = staticmethod(time.monotonic)

    async def gather(self, jobs: Sequence[Job[T]], limit: int | None = None) -> list[T]:
        return in_threads(jobs, limit or len(jobs) or 1, first=False)

    async def race(self, jobs: Sequence[Job[T]]) -> T:
        check_race(jobs)
        return in_threads(jobs, len(jobs), first=True)[0]

    def spawn(self, job: Job[object], name: str) -> Task:
        return self._spawn(job, name, None)

    def crew(self, limit: int) -> tuple[Spawn, Callable[[], object]]:
        crew = Crew(limit)
        return lambda job, name: self._spawn(job, name, crew.start), crew.close

    def _spawn(self, job: Job[object], name: str, start: Callable[[Callable[[], object], str], object] | None) -> Task:
        work = ThreadWork(job)

        def run() -> None:
            try:
                work.run()
            except Stopped:
                pass
            except Exception as error:
                if not work.is_stopped:  # else it is a connection that was shut to stop it
                    report(name, error)

        return ThreadTask(run, work.stop, self.tasks, name, start)

    async def result_of(self, future: Future[T]) -> T:
        stop = current_stop.get()
        try:
            if stop is not None:
                done = threading.Event()
                future.add_done_callback(lambda _: done.set())
                with stop.telling(done.set):
                    done.wait()
                if not future.done():
                    raise Stopped
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def event(self) -> Event:
        return _ThreadEvent()

    async def foreign(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        import asyncio

        stop = current_stop.get()

        async def stoppable() -> T:
            task = asyncio.ensure_future(fn(*args))
            if stop is None:
                return await task
            loop = asyncio.get_running_loop()
            with stop.telling(lambda: loop.call_soon_threadsafe(task.cancel)):
                return await task

        try:
            return asyncio.run(stoppable())
        except asyncio.CancelledError:
            raise Stopped from None

    def lock(self) -> Lock:
        return _ThreadLock()

    async def readable(self, fd: int, seconds: float | None = None) -> bool:
        stop = current_stop.get()
        if stop is None:
            return fd in _readable([fd], seconds)
        told, tell = os.pipe()
        try:
            with stop.telling(lambda: os.write(tell, b"x")):
                ready = _readable([fd, told], seconds)
        finally:
            os.close(told)
            os.close(tell)
        if told in ready:
            raise Stopped
        return fd in ready

    home = staticmethod(os.getpid)

    def at_end(self, fn: Callable[[], object]) -> Callable[[], None]:
        import atexit

        def run() -> None:
            atexit.unregister(run)
            fn()

        atexit.register(run)
        return run


def _readable(fds: list[int], seconds: float | None) -> list[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(None if seconds is None else min(max(seconds, 0.0), _LONGEST_S) * 1000)]


_LONGEST_S = 2_000_000.0  # poll takes no more than 2**31 ms


class _ThreadEvent:
    __slots__ = ("_event", "_lock", "_waiting")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[threading.Event] = []

    def set(self) -> None:
        with self._lock:
            self._event.set()
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    async def wait(self, seconds: float | None = None) -> bool:
        stop = current_stop.get()
        if stop is None:
            return self._event.wait(seconds)
        woken = threading.Event()  # by whichever of the two comes first
        with self._lock:
            if not self._event.is_set():
                self._waiting.append(woken)
            else:
                woken.set()
        with stop.telling(woken.set):
            woken.wait(seconds)
        with self._lock:
            if woken in self._waiting:
                self._waiting.remove(woken)
        if not self._event.is_set() and stop.wait(0):
            raise Stopped
        return self._event.is_set()


class _ThreadLock:
    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        stop = current_stop.get()
        if stop is None:
            self._lock.acquire()
            return
        while not self._lock.acquire(timeout=_LOCK_STEP_S):  # nothing but its holder can wake who waits for a lock
            if stop.wait(0):
                raise Stopped

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._lock.release()


_LOCK_STEP_S = 0.1
