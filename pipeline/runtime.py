"""All that really waits: sockets, threads, sleep. One body of code, two ways to run it.

Stages are written once as `async def` and wait only through a runtime. `AsyncRuntime` awaits anyio (asyncio or
trio). `SyncRuntime`'s coroutines block and return without ever suspending, so `drive` runs a whole chain with one
`send(None)`: no event loop, no thread, full tracebacks, and it works inside a running loop, after a fork and under
Ctrl-C.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import select
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Hashable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .errors import InvalidParameter, SuspendedInSync
from .http import Exchange, HttpRequest, Transport
from .tasks import Crew, LoopTask, Task, Tasks, ThreadTask, poster, report, running_loop
from .timeouts import Pace

if TYPE_CHECKING:
    from concurrent.futures import Future

    import anyio

T = TypeVar("T")
Job = Callable[[], Coroutine[Any, Any, T]]
Spawn = Callable[["Job[object]", str], Task]


class Event(Protocol):
    """Set once, waited for by many."""

    def set(self) -> None: ...
    def is_set(self) -> bool: ...

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds at most; tell whether it is."""
        ...


class Lock(Protocol):
    """Mutual exclusion: `async with lock`."""

    async def __aenter__(self) -> object: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> object: ...


class Runtime(Protocol):
    """What a stage may wait for. In sync calls these coroutines block and never suspend."""

    is_async: bool

    def open(self, request: HttpRequest, pace: Pace) -> Coroutine[Any, Any, Exchange]:
        """Send an HTTP request, return when the head of the answer is there. Raises as `Transport.open`."""
        ...

    async def call(self, fn: Callable[..., T], *args: Any) -> T:
        """Run blocking code: directly in sync, in a thread in async (which goes on if the call is cancelled)."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def now(self) -> float:
        """Return monotonic seconds."""
        ...

    async def gather(self, jobs: Sequence[Job[T]], limit: int | None = None) -> list[T]:
        """Run jobs side by side, at most `limit` at once; results in the jobs' order.

        The first error stops the others (in sync: shuts their connections) and is raised.
        """
        ...

    async def race(self, jobs: Sequence[Job[T]]) -> T:
        """Run jobs side by side, return the first result and stop the others; all failed: raise the first error."""
        ...

    async def within(self, seconds: float, job: Job[T]) -> T:
        """Run a job for so many seconds at most; in sync it runs to its end, since nothing could stop it.

        Raises:
            TimeoutError: it took longer, and was cancelled.
        """
        ...

    def spawn(self, job: Job[object], name: str) -> Task:
        """Start a job that goes on when the call has ended: until it is done, its client closes, or its loop ends.

        It sees the caller's context variables. An error that it raises is logged; nobody else would learn of it.
        """
        ...

    def crew(self, limit: int) -> tuple[Spawn, Callable[[], object]]:
        """Return what starts jobs as `spawn` does, at less cost for many short ones, and what ends it.

        Args:
            limit: jobs at once, at most.
        """
        ...

    async def result_of(self, future: Future[T]) -> T:
        """Wait for a future of a `concurrent.futures` executor; cancel it when this wait is cancelled."""
        ...

    def event(self) -> Event:
        """Return an event, to be set by a task of this event loop, or in sync mode by any thread."""
        ...

    async def foreign(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Await a coroutine function that may wait for anything: in place in async, in sync on a loop of its own.

        In sync calls from a thread without a running loop only, such as that of a spawned job.
        """
        ...

    def lock(self) -> Lock: ...

    async def readable(self, fd: int, seconds: float | None = None) -> bool:
        """Wait until a pipe, socket or epoll descriptor can be read, or for so many seconds; tell whether it can.

        One waiter per descriptor. POSIX, or a socket.
        """
        ...

    def home(self) -> Hashable:
        """Return what things made here belong to: the running event loop, or in sync mode this process (its id).

        Raises:
            SetupError: async, and no event loop runs in this thread.
        """
        ...

    def at_end(self, fn: Callable[[], object]) -> Callable[[], None]:
        """Call blocking `fn` when that home ends. Returns what calls it at once instead."""
        ...


class SyncRuntime:
    """Blocks. One per client; safe to share between threads."""

    is_async = False

    def __init__(self, transport: Callable[[], Transport]) -> None:
        self._transport = transport
        self.tasks = Tasks()

    def open(self, request: HttpRequest, pace: Pace) -> Coroutine[Any, Any, Exchange]:
        return self._transport().open(request, pace)

    async def call(self, fn: Callable[..., T], *args: Any) -> T:
        return fn(*args)

    async def within(self, seconds: float, job: Job[T]) -> T:
        return await job()

    async def sleep(self, seconds: float) -> None:
        stop = _stop.get()
        if stop is None:
            time.sleep(seconds)
        elif stop.wait(seconds):
            raise Stopped

    now = staticmethod(time.monotonic)

    async def gather(self, jobs: Sequence[Job[T]], limit: int | None = None) -> list[T]:
        return _in_threads(jobs, limit or len(jobs) or 1, first=False)

    async def race(self, jobs: Sequence[Job[T]]) -> T:
        _check_race(jobs)
        return _in_threads(jobs, len(jobs), first=True)[0]

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
        stop = _stop.get()
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

        stop = _stop.get()

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
        stop = _stop.get()
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
        stop = _stop.get()
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
        stop = _stop.get()
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


class Stopped(BaseException):
    """Ends a job in a thread for whose result nobody waits any more; what cancellation is in async calls."""


class _Stop:
    """Tells the jobs of one gather or race, and those inside them, to stop."""

    __slots__ = ("_event", "_inner", "_lock", "_told", "wait")

    def __init__(self, outer: _Stop | None) -> None:
        self._event = threading.Event()
        self._inner: list[_Stop] = []
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


_stop: contextvars.ContextVar[_Stop | None] = contextvars.ContextVar("antiphon_stop", default=None)


class ThreadWork(Generic[T]):
    """A job of sync mode for a thread of its own, or of somebody else's pool; any thread may stop it."""

    __slots__ = ("_job", "_scope", "_stop")

    def __init__(self, job: Job[T]) -> None:
        from .transport import AbortScope

        self._job = job
        self._stop = _Stop(None)
        self._scope = AbortScope(detached=True)

    def run(self) -> T:
        """Do it, in this thread. Raises Stopped, or what a shut connection raises, when it is stopped.

        One that is stopped before it begins is stopped by its first wait, so that it can tell.
        """
        _stop.set(self._stop)
        with self._scope:
            return drive(self._job())

    def stop(self) -> None:
        self._stop.set()
        self._scope.abort()  # a blocked read in a thread can't be cancelled, but its socket can be shut

    @property
    def is_stopped(self) -> bool:
        return self._stop.wait(0)


def _check_race(jobs: Sequence[Job[T]]) -> None:
    if not jobs:
        raise InvalidParameter("race has no jobs; at least one is expected")


def _in_threads(jobs: Sequence[Job[T]], limit: int, *, first: bool) -> list[T]:
    """Run jobs in threads that see the caller's context; all results in order, or just the first one."""
    from concurrent.futures import ThreadPoolExecutor, wait

    from .transport import AbortScope

    if not jobs:
        return []
    stop = _Stop(_stop.get())
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
        _stop.set(stop)
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


class AsyncRuntime:
    """Awaits anyio. One per client; serves any number of event loops."""

    is_async = True

    def __init__(self, transport: Callable[[], Transport]) -> None:
        self._transport = transport
        self.tasks = Tasks()

    def open(self, request: HttpRequest, pace: Pace) -> Coroutine[Any, Any, Exchange]:
        return self._transport().open(request, pace)

    async def call(self, fn: Callable[..., T], *args: Any) -> T:
        import anyio.to_thread

        return await anyio.to_thread.run_sync(fn, *args, abandon_on_cancel=True)

    async def within(self, seconds: float, job: Job[T]) -> T:
        import anyio

        with anyio.fail_after(seconds):
            return await job()

    async def sleep(self, seconds: float) -> None:
        import anyio

        await anyio.sleep(seconds)

    now = staticmethod(time.monotonic)

    async def gather(self, jobs: Sequence[Job[T]], limit: int | None = None) -> list[T]:
        import anyio

        results: list[Any] = [None] * len(jobs)
        limiter = anyio.Semaphore(limit or len(jobs) or 1)
        failed = False

        async def run(index: int, job: Job[T]) -> None:
            nonlocal failed
            try:
                results[index] = await job()
            except BaseException:
                failed = True
                raise
            finally:
                limiter.release()

        async with _FirstError() as group:
            for index, job in enumerate(jobs):
                await limiter.acquire()  # here, so that jobs begin in their order, and none after a failure
                if failed:
                    break
                group.start_soon(run, index, job)
        return results

    async def race(self, jobs: Sequence[Job[T]]) -> T:
        _check_race(jobs)
        results: list[T] = []
        errors: list[Exception] = []

        async def run(job: Job[T]) -> None:
            try:
                results.append(await job())
            except Exception as error:
                errors.append(error)
            else:
                group.cancel_scope.cancel()

        async with _FirstError() as group:
            for job in jobs:
                group.start_soon(run, job)
        if not results:
            raise errors[0]
        return results[0]

    def spawn(self, job: Job[object], name: str) -> Task:
        return LoopTask(job, self.tasks, name)

    def crew(self, limit: int) -> tuple[Spawn, Callable[[], object]]:
        return self.spawn, lambda: None

    async def result_of(self, future: Future[T]) -> T:
        import anyio

        done, to_loop = anyio.Event(), poster(running_loop())

        def tell(_: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever waits
                to_loop(done.set)

        future.add_done_callback(tell)
        try:
            await done.wait()
        except BaseException:
            future.cancel()
            raise
        return future.result()

    def event(self) -> Event:
        return _LoopEvent()

    async def foreign(self, fn: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        return await fn(*args)

    def lock(self) -> Lock:
        import anyio

        return anyio.Lock()

    async def readable(self, fd: int, seconds: float | None = None) -> bool:
        import anyio

        with anyio.move_on_after(seconds):
            await anyio.wait_readable(fd)
            return True
        return False

    def home(self) -> Hashable:
        loop: Hashable = running_loop()
        return loop

    def at_end(self, fn: Callable[[], object]) -> Callable[[], None]:
        from .network import LoopSide

        side = LoopSide(running_loop())
        side.at_end(fn)
        return side.forget


class _LoopEvent:
    __slots__ = ("_event", "is_set", "set")

    def __init__(self) -> None:
        import anyio

        self._event = anyio.Event()
        self.set = self._event.set
        self.is_set = self._event.is_set

    async def wait(self, seconds: float | None = None) -> bool:
        if seconds is None:
            await self._event.wait()
            return True
        import anyio

        with anyio.move_on_after(seconds):
            await self._event.wait()
        return self._event.is_set()


class _FirstError:
    """A task group that raises the first error itself, not a group of one."""

    async def __aenter__(self) -> anyio.abc.TaskGroup:
        import anyio

        self._group = anyio.create_task_group()
        return await self._group.__aenter__()

    async def __aexit__(self, *exc: Any) -> bool | None:
        try:
            return await self._group.__aexit__(*exc)
        except BaseExceptionGroup as group:
            raise _first(group) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Portal:
    """An event loop in a thread of its own, for sync callers whose stages await foreign async libraries."""

    def __init__(self) -> None:
        from anyio.from_thread import start_blocking_portal

        self._manager = start_blocking_portal()
        self._portal = self._manager.__enter__()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, return its value here."""

        async def awaited() -> T:
            return await coroutine

        return self._portal.call(awaited)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._manager.__exit__(None, None, None)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end and return its value.

    Raises:
        SuspendedInSync: it awaited something other than a sync runtime's methods; it was told so by the same error,
            so its clean-up has run.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    except RuntimeError as error:
        if wants_loop(error):
            raise _suspended(_stage_in_traceback(error)) from error
        raise
    suspended = _suspended(_stage_in_frames(coroutine))
    try:
        coroutine.throw(suspended)
    except StopIteration as stop:  # a stage handled it
        value = stop.value
        return value
    finally:
        coroutine.close()
    raise suspended


def wants_loop(error: RuntimeError) -> bool:
    """Tell whether asyncio, anyio or trio complains that no loop is running."""
    text = str(error)
    return (
        type(error).__name__ in ("NoEventLoopError", "AsyncLibraryNotFoundError")
        or "no running event loop" in text
        or "must be called from async context" in text
        or "unknown async library" in text
    )


def _suspended(where: str) -> SuspendedInSync:
    return SuspendedInSync(
        f"{where} awaited something other than the runtime's methods in a sync call",
        hint=(
            "await request.context.runtime (call, sleep, open, gather) instead, "
            'or call the async twin, or use Client(blocking="portal")'
        ),
    )


def _stage_in_frames(coroutine: Any) -> str:
    """Name the innermost stage among the frames of a suspended coroutine."""
    found = "the chain"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            found = _stage_of(frame) or found
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return found


def _stage_in_traceback(error: BaseException) -> str:
    found, tb = "the chain", error.__traceback__
    while tb is not None:
        found = _stage_of(tb.tb_frame) or found
        tb = tb.tb_next
    return found


def _stage_of(frame: Any) -> str | None:
    """Tell which stage a frame runs: the one that was handed `call_next`, or that `build` holds to the contract."""
    if frame.f_code.co_name == "checked" and "name" in frame.f_code.co_freevars:
        return f"stage {frame.f_locals['name']}"
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    if len(names) == 2 and names[1] == "call_next" and not frame.f_code.co_name.startswith("_"):
        return f"stage {frame.f_code.co_name}"
    if len(names) == 3 and names[2] == "call_next":
        stage = frame.f_locals.get(names[0])
        return f"stage {getattr(stage, 'name', type(stage).__name__)}"
    return None
