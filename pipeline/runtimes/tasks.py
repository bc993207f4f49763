"""Work that goes on beside the call that started it: a thread in sync mode, a task of the running loop in async mode.

A task's life hangs on two things: on its client, whose closing stops it, and in async mode on its event loop, which
cancels it when it ends, as it does all tasks. Both reach the job as what cancellation is in its mode: `Stopped` out of
the runtime's methods in a thread, the backend's own exception in a task. Clean-up belongs into its `finally`.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import queue
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from .event_loop import poster, running_loop

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, object]]


class Task(Protocol):
    """A job that runs beside its caller."""

    @property
    def is_done(self) -> bool: ...

    def cancel(self) -> None:
        """Ask it to stop; from any thread, idempotent, at once."""
        ...

    async def wait(self) -> None:
        """Wait until it has ended, however it ended; from its own mode, and in async mode from its own loop."""
        ...


class Tasks:
    """The tasks of one client in one mode."""

    def __init__(self) -> None:
        self._running: set[Task] = set()
        self._lock = threading.Lock()

    def add(self, task: Task) -> None:
        with self._lock:
            if not self._running:
                _at_exit(self)
            self._running.add(task)

    def discard(self, task: Task) -> None:
        with self._lock:
            self._running.discard(task)

    def running(self) -> list[Task]:
        with self._lock:
            return list(self._running)

    def cancel(self) -> list[Task]:
        """Ask all of them to stop; return those that were running."""
        running = self.running()
        for task in running:
            task.cancel()
        return running


_open: weakref.WeakSet[Tasks] = weakref.WeakSet()


def _at_exit(tasks: Tasks) -> None:
    if not _open:
        atexit.register(_stop_all)
    _open.add(tasks)


def _stop_all() -> None:
    """Stop what a program left running, so that its clean-up runs while the interpreter is still whole."""
    left = [task for tasks in list(_open) for task in tasks.cancel()]
    for task in left:
        if isinstance(task, ThreadTask):
            task.join(_EXIT_WAIT_S)


_EXIT_WAIT_S = 5.0


def report(name: str, error: BaseException) -> None:
    """Say that a task failed, whose error nobody waits for."""
    logging.getLogger("antiphon").error("background task %s failed: %r", name, error)


class ThreadTask:
    """A job in a daemon thread that sees its caller's context.

    Args:
        run: runs the job to its end in this thread.
        stop: makes `run` end early, from any thread.
        start: has a function run in a thread; by default in one of its own.
    """

    __slots__ = ("_done", "_ident", "_stop", "_tasks")

    def __init__(
        self,
        run: Callable[[], object],
        stop: Callable[[], object],
        tasks: Tasks,
        name: str,
        start: Callable[[Callable[[], object], str], object] | None = None,
    ) -> None:
        self._stop = stop
        self._tasks = tasks
        self._done = threading.Event()
        self._ident: int | None = None
        tasks.add(self)  # first, so that whoever closes the client meanwhile stops it
        try:
            context = contextvars.copy_context()
            (start or _in_new_thread)(lambda: context.run(self._run, run), name)
        except RuntimeError:  # the interpreter is exiting
            tasks.discard(self)
            raise

    def _run(self, run: Callable[[], object]) -> None:
        self._ident = threading.get_ident()
        try:
            run()
        finally:
            self._tasks.discard(self)
            self._ident = None
            self._done.set()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def cancel(self) -> None:
        self._stop()

    async def wait(self) -> None:
        self.join(None)

    def join(self, seconds: float | None) -> None:
        """Block until it has ended, or for so many seconds."""
        if self._ident != threading.get_ident():
            self._done.wait(seconds)


def _in_new_thread(run: Callable[[], object], name: str) -> None:
    threading.Thread(target=run, name=f"antiphon-{name}", daemon=True).start()


class Crew:
    """Daemon threads for many short jobs, one after another; a thread of its own costs more than such a job.

    Args:
        limit: threads at most.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._idle = threading.Semaphore(0)
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    def start(self, run: Callable[[], object], name: str) -> None:
        """Have a function run by a thread that is free, or a new one. From one thread."""
        self._work.put(run)
        if not self._idle.acquire(blocking=False) and self._count < self._limit:
            self._count += 1
            _in_new_thread(self._serve, name)

    def _serve(self) -> None:
        while True:
            try:
                run = self._work.get_nowait()
            except queue.Empty:
                self._idle.release()
                run = self._work.get()
            if run is None:
                return
            run()

    def close(self) -> None:
        """Let the threads end, each after what it has in hand."""
        for _ in range(self._count):
            self._work.put(None)


class LoopTask:
    """A job in a task of the event loop that runs now (asyncio or trio)."""

    __slots__ = ("_done", "_kept", "_loop", "_scope", "_tasks", "_to_loop")

    def __init__(self, work: Work, tasks: Tasks, name: str) -> None:
        import anyio

        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        self._tasks = tasks
        self._loop = running_loop()
        tasks.add(self)
        self._to_loop = poster(self._loop)
        trio: Any = sys.modules.get("trio")
        if trio is not None and isinstance(self._loop, trio.lowlevel.TrioToken):
            context = contextvars.copy_context()
            self._kept: object = trio.lowlevel.spawn_system_task(self._run, work, name, name=name, context=context)
        else:
            # The loop holds its tasks weakly; this keeps it.
            self._kept = self._loop.create_task(self._run(work, name), name=f"antiphon-{name}")

    async def _run(self, work: Work, name: str) -> None:
        try:
            with self._scope:
                await work()
        except Exception as error:
            report(name, error)
        finally:
            self._done.set()
            self._tasks.discard(self)

    @property
    def is_here(self) -> bool:
        """Whether it belongs to the event loop that runs now."""
        return self._loop is running_loop()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def cancel(self) -> None:
        try:
            self._to_loop(self._scope.cancel)
        except RuntimeError:  # the loop has ended, and with it the task
            self._tasks.discard(self)

    async def wait(self) -> None:
        await self._done.wait()
