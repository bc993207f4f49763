"""A call as server-sent events: frames of the events' own bytes, comments while there is nothing to say, one end.

Source: HTML Living Standard, Server-sent events; events as OpenAI's API writes them (`event:` and `data:`, no
`[DONE]`), seen in recordings of 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..pipeline.api import events as ev
from ..pipeline.api.response import Response
from ..pipeline.api.wire import encode
from ..pipeline.runtimes.runtime import Event, Runtime
from ..pipeline.streams.event_stream import EventStream
from .exchange import Exchange
from .refusal import Refusal

_HEADERS = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),  # nginx would collect the events
)
_ENDS = ev.TERMINAL | {ev.ErrorEvent}
_LINE_END = re.compile(rb"\r\n|\n|\r")


def frame(event: ev.Event) -> bytes:
    """Return an event as it goes over the wire."""
    name, data = event.type.encode("utf-8", "replace"), event.raw
    if b"\n" in data or b"\r" in data:
        data = _LINE_END.sub(b"\ndata: ", data)
    if b"\n" in name or b"\r" in name:  # of a host's own event
        name = _LINE_END.sub(b" ", name)
    return b"event: %b\ndata: %b\n\n" % (name, data)


class EventAnswer:
    """The streamed answer to one request.

    Args:
        keepalive_s: after so many seconds without an event a comment is sent; None: never.
    """

    __slots__ = ("_commenting", "_exchange", "_is_sending", "_keepalive_s", "_last", "_quiet_since", "_runtime")

    def __init__(self, exchange: Exchange, runtime: Runtime, keepalive_s: float | None) -> None:
        self._exchange = exchange
        self._runtime = runtime
        self._keepalive_s = keepalive_s
        self._quiet_since = runtime.now()
        self._is_sending = False  # something else than a comment, which has to wait
        self._commenting: Event | None = None  # set when the comment that is on its way has gone
        self._last: ev.Event | None = None

    async def relay(self, stream: EventStream, headers: Iterable[tuple[str, str]]) -> None:
        """Send a stream's events as they come, as fast as the client reads them; let go of the stream in any case.

        Raises what the stream raises, but for a failure that its last event has told.
        """
        try:
            await self._begin(headers)
            while events := await self._next(stream):
                self._last = events[-1]
                await self._send(b"".join(map(frame, events)))
            await self._end()
        finally:
            await stream.release()

    async def fail(self, refusal: Refusal, response: Response | None) -> None:
        """Send the end of an answer that has begun, and cannot go on.

        Args:
            response: what had come of it.
        """
        number = 0 if self._last is None else self._last.sequence_number + 1
        said: dict[str, object] = {"type": "error", **refusal.failure(), "param": refusal.param}
        if self._last is not None and response is not None:
            failed = response.replace(status="failed", error=refusal.failure())
            said = {"type": "response.failed", "response": failed}
        data = encode({**said, "sequence_number": number})
        await self._end(b"event: %b\ndata: %b\n\n" % (str(said["type"]).encode(), data))

    async def take_turn(self) -> None:
        """Keep comments back from here on, and let the one that is on its way go first."""
        self._is_sending = True
        if self._commenting is not None:
            await self._commenting.wait()

    async def keep_alive(self) -> None:
        """Send a comment whenever nothing else was sent for long. Does not return.

        The first one brings the head with it, while the call may still fail: proxies give up on answers that do not
        begin. From then on a failure is an event.
        """
        if self._keepalive_s is None:
            await self._runtime.event().wait()
            return
        while not self._exchange.is_over:
            left_s = self._quiet_since + self._keepalive_s - self._runtime.now()
            if self._is_sending:  # and the client is slow to read
                left_s = self._keepalive_s
            if left_s > 0:
                await self._runtime.sleep(left_s)
            else:
                await self._comment()
        await self._runtime.event().wait()

    async def _comment(self) -> None:
        done = self._commenting = self._runtime.event()
        try:
            if not self._exchange.has_begun:
                await self._exchange.begin(200, _HEADERS)
            await self._exchange.send(b": keep-alive\n\n")
            self._quiet_since = self._runtime.now()
        finally:
            self._commenting = None
            done.set()

    async def _begin(self, headers: Iterable[tuple[str, str]]) -> None:
        await self.take_turn()
        if not self._exchange.has_begun:
            await self._exchange.begin(200, (*_HEADERS, *headers))
        self._is_sending = False

    async def _send(self, data: bytes) -> None:
        await self.take_turn()
        await self._exchange.send(data)
        self._is_sending = False
        self._quiet_since = self._runtime.now()

    async def _end(self, data: bytes = b"") -> None:
        await self.take_turn()
        await self._exchange.end(data)

    async def _next(self, stream: EventStream) -> list[ev.Event]:
        try:
            return await stream.batch()
        except Exception:
            if self._last is not None and self._last.__class__ in _ENDS:
                return []  # the event before has told
            raise
