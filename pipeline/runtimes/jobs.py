"""Jobs that run beside the reader of a stream: begun a few at a time, taken one by one as they end.

The reader does all the book-keeping, in `next`; a job only posts how it ended. So nothing is shared but the mailbox.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from .runtime import Event, Runtime, Spawn
    from .tasks import Task

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work, and how it ended.

    Args:
        name: of its task or thread.
        work: what is to be done.
        limit_s: seconds after which nobody waits for it any longer.
        is_deaf: whether it may go on for long after it was asked to stop, as blocking code of others does.
        tag: what its maker knows it by.

    Attributes:
        result: what it returned.
        error: what it raised; a TimeoutError when it took too long.
        duration_s: from its beginning to its end.
    """

    __slots__ = (
        "_task",
        "began_at",
        "duration_s",
        "ends_at",
        "error",
        "is_deaf",
        "limit_s",
        "name",
        "result",
        "tag",
        "work",
    )

    def __init__(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, T]],
        limit_s: float = math.inf,
        *,
        is_deaf: bool = False,
        tag: Any = None,
    ) -> None:
        self.name = name
        self.work = work
        self.limit_s = limit_s
        self.is_deaf = is_deaf
        self.tag = tag
        self.result: T | None = None
        self.error: BaseException | None = None
        self.began_at = self.ends_at = self.duration_s = 0.0
        self._task: Task | None = None

    def begin(
        self, runtime: Runtime, spawn: Spawn, post: Callable[[Job[T], T | None, BaseException | None, float], None]
    ) -> None:
        """Start it, now that `began_at` is set; `post` gets how it ended, and when."""
        self.ends_at = self.began_at + self.limit_s

        async def run() -> None:
            result: T | None = None
            error: BaseException | None = None
            try:
                result = await self.work()
            except BaseException as raised:
                error = raised
                if not isinstance(raised, Exception):
                    raise
            finally:
                post(self, result, error, runtime.now())

        self._task = spawn(run, self.name)

    def stop(self) -> None:
        """Ask it to stop; from any thread."""
        if self._task is not None:
            self._task.cancel()

    async def wait(self) -> None:
        """Wait until it is really over, unless it may not hear that it should stop."""
        if self._task is not None and not self.is_deaf:
            await self._task.wait()


class Jobs(Generic[T]):
    """Runs jobs, at most `limit` at once. One reader."""

    def __init__(
        self,
        runtime: Runtime,
        limit: int,
        on_begin: Callable[[Job[T]], object] | None = None,
        spawn: Spawn | None = None,
    ) -> None:
        self._runtime = runtime
        self._spawn = spawn or runtime.spawn
        self._limit = limit
        self._on_begin = on_begin
        self._waiting: deque[Job[T]] = deque()
        self.running: list[Job[T]] = []
        self._lock = threading.Lock()  # around what jobs post
        self._posted: deque[tuple[Job[T], T | None, BaseException | None, float]] = deque()
        self._bell: Event | None = None
        self._are_limited = False  # whether one of the jobs has a limit

    def add(self, job: Job[T]) -> None:
        """Have a job done; it begins as soon as there is room, at the latest in `next`."""
        self._waiting.append(job)
        self._are_limited = self._are_limited or job.limit_s < math.inf
        self._begin_some()

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self.running

    async def next(self) -> Job[T]:
        """Return the next job that ends, or has taken too long; there must be one."""
        while True:
            self._begin_some()
            bell = self._runtime.event()
            self._bell = bell  # before looking, so that no end is missed
            if (ended := self.ended()) is not None:
                return ended
            first = min(self.running, key=lambda job: job.ends_at) if self._are_limited else self.running[0]
            left = first.ends_at - self._runtime.now()
            if left > 0 and await bell.wait(None if left == math.inf else left):
                continue
            if first.ends_at <= self._runtime.now():
                return self._give_up(first)

    def ended(self) -> Job[T] | None:
        """Return a job that has ended already, without waiting for one."""
        while True:
            with self._lock:
                if not self._posted:
                    return None
                job, result, error, ended_at = self._posted.popleft()
            if job in self.running:  # else it is one that nobody waits for any more
                job.result, job.error, job.duration_s = result, error, ended_at - job.began_at
                self.running.remove(job)
                return job

    def cancel(self) -> list[Job[T]]:
        """Ask all that run to stop, and begin no more; return those that ran. From any thread, without waiting."""
        self._waiting.clear()
        running, self.running = self.running, []
        for job in running:
            job.stop()
        return running

    def _begin_some(self) -> None:
        while self._waiting and len(self.running) < self._limit:
            job = self._waiting.popleft()
            self.running.append(job)
            job.began_at = self._runtime.now()
            if self._on_begin is not None:  # before, since in sync calls it runs at once, in a thread
                self._on_begin(job)
            job.begin(self._runtime, self._spawn, self._post)

    def _give_up(self, job: Job[T]) -> Job[T]:
        job.stop()
        self.running.remove(job)
        job.error = TimeoutError(f"it took longer than {job.limit_s:g} s")
        job.duration_s = self._runtime.now() - job.began_at
        return job

    def _post(self, job: Job[T], result: T | None, error: BaseException | None, ended_at: float) -> None:
        with self._lock:
            self._posted.append((job, result, error, ended_at))
            bell = self._bell
        if bell is not None:
            bell.set()
