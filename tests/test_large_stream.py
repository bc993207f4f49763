"""A stream of a hundred thousand events: memory stays that of the text, and the last event costs what the first did."""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from types import FrameType
from typing import Any

import pytest
from conftest import Mode
from loopback import Connection, serving

import antiphon
from antiphon.pipeline.http import Headers, HttpRequest
from antiphon.pipeline.timeouts import Pace

TEXT = "0123456789"
PER_CHUNK = 100
EVENTS = 100_000


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
WHERE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
BEGIN = sse(
    {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress"}},
    {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": ITEM},
)
DELTA = {"type": "response.output_text.delta", "sequence_number": 2, "delta": TEXT, "logprobs": [], **WHERE}
CHUNK = sse(DELTA) * PER_CHUNK
END = sse(
    {
        "type": "response.completed",
        "sequence_number": 3,
        "response": {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": []},
    }
)


def streaming(events: int) -> Any:
    """Run a server that sends so many text deltas. It holds one chunk of them, so its own memory does not count."""

    def serve(connection: Connection) -> None:
        while connection.request() is not None:
            connection.begin_stream()
            connection.send_chunk(BEGIN)
            for _ in range(events // PER_CHUNK):
                connection.send_chunk(CHUNK)
            connection.send_chunk(END)
            connection.send_chunk(b"")

    return serving(serve)


class Canned:
    """A transport whose answer comes in pieces of equal size, so that counts of calls do not depend on the sockets."""

    status = 200
    headers = Headers([("content-type", "text/event-stream")])
    queued_s = 0.0
    connect_s = 0.0

    def __init__(self, events: int) -> None:
        self._begin = BEGIN
        self._left = events // PER_CHUNK + 1

    async def open(self, request: HttpRequest, pace: Pace) -> Canned:
        return self

    async def chunk(self) -> bytes:
        if self._begin:
            begin, self._begin = self._begin, b""
            return begin
        self._left -= 1
        return CHUNK if self._left > 0 else END if self._left == 0 else b""

    async def read(self) -> bytes:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


async def ask(mode: Mode, url: str) -> Any:
    call: dict[str, Any] = {"model": "openai_compatible/m", "api_base": url, "api_key": "k", "stream": True}
    return await mode.either(lambda: antiphon.responses("Hi", **call), lambda: antiphon.aresponses("Hi", **call))


async def count_text(mode: Mode, stream: Any) -> int:
    """Read the stream as a user who keeps nothing."""
    size = 0
    if mode.is_async:
        async for delta in stream.text:
            size += len(delta)
    else:
        for delta in stream.text:
            size += len(delta)
    return size


def peak_of(mode: Mode, events: int) -> int:
    """Return the most memory that was in use at once while the stream was read, bytes."""

    async def body() -> int:
        try:
            await count_text(mode, await ask(mode, small.url))  # everything that is made once is there now
            stream = await ask(mode, server.url)
            gc.collect()
            tracemalloc.start()
            try:
                assert await count_text(mode, stream) == events * len(TEXT)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        finally:
            await mode.either(antiphon.close, antiphon.aclose)

    with streaming(PER_CHUNK) as small, streaming(events) as server:
        peak: int = mode.run(body)
    return peak


@pytest.mark.slow
def test_memory_is_bounded_while_the_user_keeps_nothing(mode: Mode) -> None:
    """The text is kept once, and up to 4,096 pieces of it apart; reads and decoding take a mebibyte.

    The events themselves, were they kept, would take some 40 MB.
    """
    assert peak_of(mode, EVENTS) <= 2 * EVENTS * len(TEXT) + (1 << 20)


def calls_of(mode: Mode, events: int) -> int:
    """Return how many functions were called, of Python and of C, while the stream was read."""
    calls = 0

    def count(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    async def body() -> None:
        client = antiphon.Client(transport=Canned(events))
        call: dict[str, Any] = {"model": "openai_compatible/m", "api_base": "http://canned", "stream": True}
        stream = await mode.either(lambda: client.responses("Hi", **call), lambda: client.aresponses("Hi", **call))
        sys.setprofile(count)
        try:
            size = await count_text(mode, stream)
        finally:
            sys.setprofile(None)
        assert size == events * len(TEXT)
        await mode.close(client)

    mode.run(body)
    return calls


def test_the_last_event_costs_as_many_calls_as_the_first(mode: Mode) -> None:
    few, more, many = (calls_of(mode, events) for events in (1_000, 10_000, EVENTS))

    early, late = (more - few) / 9_000, (many - more) / 90_000
    assert late == pytest.approx(early, rel=0.01)
    assert late < 20
