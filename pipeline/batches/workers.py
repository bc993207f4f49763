"""Who answers the rows of a batch: this process, or the workers of an executor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ..api.response import Response
from ..errors import StageError
from .row import Item

if TYPE_CHECKING:
    from ..chain import Chain
    from ..runtimes.runtime import Runtime

Answer: TypeAlias = "Response | Exception"


class Workers(Protocol):
    """Answers rows, a few together.

    Attributes:
        chunk_size: how many of them together.
    """

    chunk_size: int

    async def prepare(self) -> None:
        """Do what has to be done before the first row. Raises SetupError when the batch cannot run here."""
        ...

    async def answer(self, items: Sequence[Item]) -> list[Answer]:
        """Return the response or the error of each row, in their order."""
        ...


class HereWorkers:
    """Runs the chain in this process, in the mode of the runtime."""

    chunk_size = 1

    def __init__(self, chain: Chain, runtime: Runtime) -> None:
        self._chain = chain
        self._runtime = runtime

    async def prepare(self) -> None:
        self._chain.check()

    async def answer(self, items: Sequence[Item]) -> list[Answer]:
        if len(items) == 1:
            return [await self._one(items[0])]
        return await self._runtime.gather([lambda item=item: self._one(item) for item in items])  # type: ignore[misc]

    async def _one(self, item: Item) -> Answer:
        chain = self._chain
        try:
            if self._runtime.is_async:
                reply = await chain.arun("create", item.keywords, item.dropped)
            else:
                reply = chain.run("create", item.keywords, item.dropped)
            if isinstance(reply, Response):
                return reply
            raise StageError(f'chain "{chain.name}" answered with {type(reply).__name__}; a batch takes responses')
        except Exception as error:
            return error
