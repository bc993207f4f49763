"""Rows answered by the workers of an executor: threads of this process, or other processes and machines."""

from __future__ import annotations

import contextvars
import itertools
import os
from collections.abc import Sequence
from concurrent import futures
from typing import TYPE_CHECKING, Any

from ..errors import AntiphonError, ExecutorFailed, NotSerializable
from ..runtimes.thread_jobs import ThreadWork
from .row import Item
from .settings import Settings
from .shipping import answer_rows, pack_chain, pack_rows, try_chain, unpack_answer
from .workers import Answer, HereWorkers, Workers

if TYPE_CHECKING:
    from ..chain import Chain
    from ..runtimes.runtime import Runtime

_CHUNKS = 4  # under way at once, where nobody says how many rows a chunk has


def workers_of(chain: Chain, common: dict[str, Any], runtime: Runtime, settings: Settings) -> Workers:
    """Return the workers of the executor that the settings name.

    Args:
        common: the keywords of all rows.

    Raises:
        NotSerializable: its workers are other processes, in which the chain cannot be made again.
    """
    executor = settings.executor
    if isinstance(executor, futures.ThreadPoolExecutor) and not _has_interpreters(executor):
        return ThreadWorkers(chain, runtime, executor, settings.chunk_size or 1)
    chunk_size = settings.chunk_size or max(1, settings.concurrency // _CHUNKS)
    return RemoteWorkers(chain, runtime, executor, chunk_size, pack_chain(chain, common))


def _has_interpreters(executor: futures.Executor) -> bool:
    kind: Any = getattr(
        futures, "InterpreterPoolExecutor", ()
    )  # since Python 3.14, and a subclass of the one of threads
    return isinstance(executor, kind)


class ThreadWorkers:
    """Threads of somebody's pool: the chain itself, on its client, in sync mode."""

    def __init__(self, chain: Chain, runtime: Runtime, executor: futures.Executor, chunk_size: int) -> None:
        self.chunk_size = chunk_size
        self._chain = chain
        self._runtime = runtime
        self._executor = executor
        self._here = HereWorkers(chain, chain.engine.runtime(is_async=False))

    async def prepare(self) -> None:
        self._chain.check()

    async def answer(self, items: Sequence[Item]) -> list[Answer]:
        work = ThreadWork(lambda: self._here.answer(items))
        try:
            future = self._executor.submit(contextvars.copy_context().run, work.run)
            return await self._runtime.result_of(future)
        except (RuntimeError, futures.CancelledError) as error:  # it is shut down
            raise _failed(self._executor, error) from error
        except BaseException:
            work.stop()
            raise


class RemoteWorkers:
    """Other processes, which make the chain again."""

    def __init__(
        self, chain: Chain, runtime: Runtime, executor: futures.Executor, chunk_size: int, packed: bytes
    ) -> None:
        self.chunk_size = chunk_size
        self._chain = chain
        self._runtime = runtime
        self._executor = executor
        self._packed = packed
        self._name = os.urandom(6).hex()
        self._count = itertools.count()

    async def prepare(self) -> None:
        self._chain.check()
        fault = await self._done(try_chain, self._packed)
        if fault is not None:
            raise NotSerializable(
                f'chain "{self._chain.name}" cannot be made in a worker of {type(self._executor).__name__}: {fault}',
                hint="the workers need the same packages, and functions of modules that they can import",
            )

    async def answer(self, items: Sequence[Item]) -> list[Answer]:
        rows, refused = pack_rows(self._chain, items)
        packed: list[bytes] = []
        if len(refused) < len(items):
            packed = await self._done(answer_rows, self._packed, rows, f"{self._name}-{next(self._count)}")
        answers = map(unpack_answer, packed)
        return [refused[place] if place in refused else next(answers) for place in range(len(items))]

    async def _done(self, fn: Any, *args: Any) -> Any:
        try:
            return await self._runtime.result_of(self._executor.submit(fn, *args))
        except AntiphonError:
            raise
        except Exception as error:  # each executor has its own
            raise _failed(self._executor, error) from error


def _failed(executor: futures.Executor, error: Exception) -> ExecutorFailed:
    return ExecutorFailed(
        f"{type(executor).__name__} did not do its part of a batch: {type(error).__name__}: {error}",
        hint="a worker died or was shut down; with a checkpoint a new run goes on with the missing rows",
    )
