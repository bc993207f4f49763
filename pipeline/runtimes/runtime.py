"""What a stage may wait for: sockets, threads, sleep. One body of code, two ways to run it.

Stages are written once as `async def` and wait only through a runtime. `AsyncRuntime` awaits anyio (asyncio or
trio). `SyncRuntime`'s coroutines block and return without ever suspending, so `drive` runs a whole chain with one
`send(None)`: no event loop, no thread, full tracebacks, and it works inside a running loop, after a fork and under
Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import InvalidParameter
from ..http import Exchange, HttpRequest
from ..timeouts import Pace
from .tasks import Task

if TYPE_CHECKING:
    from concurrent.futures import Future

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


def check_race(jobs: Sequence[Job[T]]) -> None:
    if not jobs:
        raise InvalidParameter("race has no jobs; at least one is expected")
