"""The runtime of async calls: it awaits anyio, on asyncio or trio."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..http import Exchange, HttpRequest, Transport
from ..timeouts import Pace
from .event_loop import at_loop_end, poster, running_loop
from .runtime import Event, Job, Lock, Spawn, check_race
from .tasks import LoopTask, Task, Tasks

if TYPE_CHECKING:
    from concurrent.futures import Future

    import anyio

T = TypeVar("T")


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
        check_race(jobs)
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
        return at_loop_end(fn)


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
