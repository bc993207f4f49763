"""The verbs for many calls: `map` and `batch`, with their async twins, of everything that runs one chain."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from ..errors import InvalidParameter

if TYPE_CHECKING:
    import os
    from concurrent.futures import Executor

    from ..api.response import Response
    from ..chain import Chain
    from ..runtimes.runtime import Runtime
    from .progress import Progress
    from .row import RowCalls
    from .rows import AsyncRows, Rows
    from .run import Run
    from .settings import OnError, Order, Settings
    from .workers import Workers


class Batches:
    """What runs many calls of a chain side by side."""

    __slots__ = ()

    def _row_calls(self, common: dict[str, Any]) -> tuple[Chain, RowCalls]:
        """Return the chain, and what makes its calls of rows, to which these keywords are common."""
        raise NotImplementedError

    def map(
        self,
        inputs: Iterable[Any],
        *,
        concurrency: int = 8,
        order: Order = "input",
        on_error: OnError = "return",
        progress: bool | Callable[[Progress], object] = False,
        checkpoint: str | os.PathLike[str] | None = None,
        retry_failed: bool = True,
        executor: Executor | None = None,
        chunk_size: int | None = None,
        **keywords: Any,
    ) -> Rows:
        """Run many calls side by side (sync, in threads), and hand out each row as it is done.

        The inputs may be without end: no more than `concurrency` of them are taken and not handed out yet. They are
        taken, and rows handed out, in the caller's thread.

        Args:
            inputs: for each call the API's `input`, or a mapping of keywords, e.g. {"input": "Hi", "temperature": 0}.
            concurrency: calls in flight at once, over all workers, >= 1.
            order: "input": rows come in the order of the inputs, and a slow one holds up those after it; "completed":
                as they are done.
            on_error: "return": a failed row comes with its `error`, and the others go on; "raise": the first error
                stops the others and is raised.
            progress: True shows a bar on stderr where that is a terminal (extra `cli`); a function is told after each
                row.
            checkpoint: a SQLite file; a row is written to it before it is handed out, and a later run with the same
                file, chain and inputs asks only for the rows that are missing.
            retry_failed: whether rows that have failed are missing rows.
            executor: whose workers make the calls, e.g. a `ProcessPoolExecutor` or Dask's `client.get_executor()`; not
                shut down here.
            chunk_size: rows that a worker gets together and runs side by side; by default a quarter of `concurrency`,
                in threads 1.
            keywords: for every call; a row's own win.

        Raises:
            InvalidParameter: a setting or a keyword that cannot be.
            SetupError: with the first row, when the batch cannot run: `NotSerializable` for a chain that no worker
                could make again, `CheckpointMismatch` for a checkpoint of another batch; `ExecutorFailed` later too.
        """
        from .rows import Rows
        from .settings import Settings

        settings = Settings(
            concurrency=concurrency,
            order=order,
            on_error=on_error,
            progress=progress,
            checkpoint=checkpoint,
            retry_failed=retry_failed,
            executor=executor,
            chunk_size=chunk_size,
        )
        chain, calls = self._row_calls(keywords)
        _check_inputs(inputs)
        if isinstance(inputs, AsyncIterable):
            raise InvalidParameter(
                "inputs is an async iterable, which sync code cannot read", param="inputs", hint="use amap or abatch"
            )
        runtime, drive = chain.engine.blocking_mode()
        return Rows(_run(runtime, inputs, chain, calls, settings), drive)

    def amap(self, inputs: Iterable[Any] | AsyncIterable[Any], **settings: Any) -> AsyncRows:
        """Run many calls side by side (async, in tasks): `async for row in chain.amap(inputs)`. As `map`.

        The inputs may be an async iterable too. It is read beside the calls, so a row is handed out while the next
        input is still waited for.
        """
        from .rows import AsyncRows
        from .settings import Settings

        own, keywords = Settings.split(settings)
        chain, calls = self._row_calls(keywords)
        _check_inputs(inputs)
        return AsyncRows(_run(chain.engine.runtime(is_async=True), inputs, chain, calls, own))

    @overload
    def batch(
        self, inputs: Iterable[Any], *, concurrency: int = 8, on_error: Literal["raise"] = "raise", **settings: Any
    ) -> list[Response]: ...
    @overload
    def batch(
        self, inputs: Iterable[Any], *, concurrency: int = 8, on_error: OnError, **settings: Any
    ) -> list[Response | Exception]: ...
    def batch(
        self, inputs: Iterable[Any], *, concurrency: int = 8, on_error: OnError = "raise", **settings: Any
    ) -> list[Any]:
        """Run many calls side by side (sync, in threads); return their results in the inputs' order.

        Args:
            inputs: as for `map`; all of them are read, and all results held.
            concurrency: calls in flight at once, >= 1.
            on_error: "raise": the first error stops the others and is raised; "return": errors stand in their places.
            settings: the others of `map`, and keywords for every call.

        Raises:
            As `map`, and what a row raised.
        """
        settings["order"] = "completed"  # so that no slow row holds up the others
        with self.map(inputs, concurrency=concurrency, on_error=on_error, **settings) as rows:
            return _in_places({row.index: row.result for row in rows})

    @overload
    async def abatch(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 8,
        on_error: Literal["raise"] = "raise",
        **settings: Any,
    ) -> list[Response]: ...
    @overload
    async def abatch(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 8,
        on_error: OnError,
        **settings: Any,
    ) -> list[Response | Exception]: ...
    async def abatch(
        self,
        inputs: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 8,
        on_error: OnError = "raise",
        **settings: Any,
    ) -> list[Any]:
        """Run many calls side by side (async, in tasks); return their results in the inputs' order. As `batch`."""
        settings["order"] = "completed"
        async with self.amap(inputs, concurrency=concurrency, on_error=on_error, **settings) as rows:
            return _in_places({row.index: row.result async for row in rows})


def _check_inputs(inputs: object) -> None:
    """Refuse what is one input by itself: its letters or its names would be asked one by one."""
    if isinstance(inputs, str | bytes | Mapping) or not isinstance(inputs, Iterable | AsyncIterable):
        raise InvalidParameter(
            f"inputs is {type(inputs).__name__}; an iterable of inputs is expected",
            param="inputs",
            hint="for one call use responses() or invoke()" if isinstance(inputs, str | Mapping) else None,
        )


def _in_places(results: dict[int, Response | Exception]) -> list[Response | Exception]:
    return [results[index] for index in range(len(results))]


def _run(
    runtime: Runtime,
    inputs: Iterable[Any] | AsyncIterable[Any],
    chain: Chain,
    calls: RowCalls,
    settings: Settings,
) -> Run:
    """Put together what a batch needs; what its settings do not ask for is not loaded."""
    from .run import Run
    from .workers import HereWorkers

    workers: Workers = HereWorkers(chain, runtime)
    if settings.executor is not None:
        from .executors import workers_of

        workers = workers_of(chain, calls.common, runtime, settings)
    checkpoint = meter = None
    if settings.checkpoint is not None:
        from .checkpoint import Checkpoint

        checkpoint = Checkpoint(settings.checkpoint, chain, calls, retry_failed=settings.retry_failed)
    if settings.progress:
        from .progress import meter_of

        meter = meter_of(settings.progress)
    return Run(runtime, inputs, calls, workers, settings, checkpoint=checkpoint, meter=meter)
