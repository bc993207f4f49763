"""The rows of a running batch, as its caller reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from .row import Row
from .run import Run

T = TypeVar("T")


class Rows(Iterator[Row]):
    """The rows of `Chain.map`, one by one as they are done. One reader.

    Nothing is asked before the first one is. Closing it, or dropping it, stops what is under way; so does Ctrl-C, and
    rows that were done by then are still handed out.
    """

    def __init__(self, run: Run, drive: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._run = run
        self._drive = drive

    def __next__(self) -> Row:
        try:
            row: Row | None = self._drive(self._run.next())
        except BaseException:
            self._run.stop()  # where it runs on a loop of its own, Ctrl-C has not reached it
            raise
        if row is None:
            raise StopIteration
        return row

    def close(self) -> None:
        """Stop the calls under way, and wait until they have ended. Idempotent."""
        self._drive(self._run.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._run!r})"

    def __del__(self) -> None:
        self._run.stop()


class AsyncRows(AsyncIterator[Row]):
    """The rows of `Chain.amap`, one by one as they are done. As `Rows`."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def __anext__(self) -> Row:
        if (row := await self._run.next()) is None:
            raise StopAsyncIteration
        return row

    async def aclose(self) -> None:
        """Stop the calls under way, and wait until they have ended. Idempotent."""
        await self._run.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._run!r})"

    def __del__(self) -> None:
        self._run.stop()
