"""One call of a stage's check: a client whose host counts what is open, and can fall silent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..client import Client
from ..pipeline.chain import Chain
from ..pipeline.http import Exchange, HttpRequest
from ..pipeline.signals import CallEnded, Signal
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.timeouts import Pace
from ..providers.scripted import Answer, ScriptedExchange, ScriptedHost


class Trial:
    """One call, with what is told of it.

    Attributes:
        problems: what is wrong, to be added to.
        ends: how the call ended, once for each time that this was told.
        begun: how many calls were made.
    """

    def __init__(self, chain: Chain, host: CountingHost, keywords: dict[str, Any], is_async: bool) -> None:
        given = {"api_key": "scripted", "dialect": "responses", "num_retries": 0}
        bound = {name: value for name, value in given.items() if name in chain.options}
        self.host = host
        self.problems: list[str] = []
        self.ends: list[str] = []
        self.begun = 0
        self._is_async = is_async
        self._keywords = keywords
        self._client = Client(chain.bind(**bound), transport=host, hooks=[self._told])

    def _told(self, signal: Signal) -> None:
        if isinstance(signal, CallEnded):
            self.ends.append(signal.outcome.kind)

    async def make(self, *, streamed: bool) -> Any:
        self.begun += 1
        keywords = {**self._keywords, "stream": True} if streamed else self._keywords
        chain = self._client.chain
        return await chain.arun("create", keywords) if self._is_async else chain.run("create", keywords)

    async def read(self, stream: EventStream) -> list[Any]:
        return [event async for event in stream] if self._is_async else list(stream)

    async def next(self, stream: EventStream) -> object:
        return await anext(stream, None) if self._is_async else next(stream, None)

    async def close_stream(self, stream: EventStream) -> None:
        if self._is_async:
            await stream.aclose()
        else:
            stream.close()

    def expect_end(self, *kinds: str) -> None:
        """Note a problem unless the call has ended in one of these ways; that it has ended once is looked at later."""
        if self.ends and self.ends[0] not in kinds:
            self.problems.append(f'the call ended "{self.ends[0]}"; "{kinds[0]}" is expected')

    async def close(self) -> None:
        if self._is_async:
            await self._client.aclose()
        else:
            self._client.close()


class CountingHost:
    """A scripted host that counts what is open, and can fall silent.

    Args:
        silent_after: so many pieces of an answer come, then nothing more, not even its head when it is 0.
    """

    def __init__(self, answers: Sequence[Answer], is_async: bool, silent_after: int | None) -> None:
        self._script = ScriptedHost(answers)
        self._is_async = is_async
        self.silent_after = silent_after
        self.silence: Any = None  # an event to be set
        self.is_silent = False
        self.opened = 0
        self.left_open = 0

    async def open(self, request: HttpRequest, pace: Pace) -> Exchange:
        if self.silent_after == 0:
            await self.fall_silent()
        return _Counted(await self._script.open(request, pace), self)

    async def close(self) -> None:
        """Nothing is open that is this object's own."""

    async def fall_silent(self) -> None:
        self.is_silent = True
        if not self._is_async:
            raise KeyboardInterrupt
        import anyio

        self.silence.set()
        await anyio.sleep_forever()


class _Counted:
    """An exchange that its host knows to be open."""

    def __init__(self, exchange: ScriptedExchange, host: CountingHost) -> None:
        self.status = exchange.status
        self.headers = exchange.headers
        self.queued_s = self.connect_s = 0.0
        self._exchange = exchange
        self._host = host
        self._pieces = 0
        self._is_open = True
        host.opened += 1
        host.left_open += 1

    async def chunk(self) -> bytes:
        if self._pieces == self._host.silent_after:
            await self._host.fall_silent()
        self._pieces += 1
        data = await self._exchange.chunk()
        if not data:
            self._end()
        return data

    async def read(self) -> bytes:
        if self._host.silent_after is not None:
            await self._host.fall_silent()
        data = await self._exchange.read()
        self._end()
        return data

    async def close(self) -> None:
        await self._exchange.close()
        self._end()

    def abort(self) -> None:
        self._exchange.abort()
        self._end()

    def _end(self) -> None:
        if self._is_open:
            self._is_open = False
            self._host.left_open -= 1
