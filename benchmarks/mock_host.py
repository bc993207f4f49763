"""A loopback host that costs little itself. Standard library only; it prints its port.

It serves `…/responses` and `…/chat/completions`. What it answers there is chosen by the model's name, so that every
peer can ask for it unchanged:

    mock                one plain response; streamed, 20 text deltas
    mock-n1000          1000 text deltas, all written at once
    mock-n500-d500      500 text deltas, one every 500 µs

Each event is one HTTP chunk, as real hosts send it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parent))

import payloads

_MODEL = re.compile(rb'"model"\s*:\s*"([^"]*)"')
_STREAM = re.compile(rb'"stream"\s*:\s*true')
_DELTAS = re.compile(rb"-n(\d+)")
_DRIP_US = re.compile(rb"-d(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_COMMON = b"HTTP/1.1 200 OK\r\nx-request-id: req_mock\r\ndate: Sun, 22 Nov 2026 09:00:00 GMT\r\nserver: mock\r\n"
_PLAIN_HEAD = _COMMON + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD = _COMMON + b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


_PLAIN = {b"/responses": payloads.plain, b"/chat/completions": payloads.chat_plain}
_FRAMES = {b"/responses": payloads.frames, b"/chat/completions": payloads.chat_frames}


@lru_cache
def _plain(path: bytes) -> bytes:
    body = _PLAIN[path]()
    return _PLAIN_HEAD % len(body) + body


@lru_cache
def _chunks(path: bytes, deltas: int) -> tuple[bytes, ...]:
    return (*(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in _FRAMES[path](deltas)), b"0\r\n\r\n")


@lru_cache
def _burst(path: bytes, deltas: int) -> bytes:
    return _STREAM_HEAD + b"".join(_chunks(path, deltas))


class Connection(asyncio.Protocol):
    """Answers one connection's requests in turn."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._dripping: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._dripping is not None:
            self._dripping.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._received, 0, end + 2)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._received) < whole:
                return
            head, body = bytes(self._received[:end]), bytes(self._received[end + 4 : whole])
            del self._received[:whole]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        asked = head.split(b"\r\n", 1)[0].split(b" ")[1]
        path = next((path for path in _PLAIN if asked.endswith(path)), None)
        if path is None:
            self._transport.write(_NOT_FOUND)
            return
        if not _STREAM.search(body):
            self._transport.write(_plain(path))
            return
        model = found[1] if (found := _MODEL.search(body)) else b""
        deltas = int(found[1]) if (found := _DELTAS.search(model)) else 20
        if found := _DRIP_US.search(model):
            self._dripping = asyncio.create_task(self._drip(path, deltas, int(found[1]) / 1e6))
        else:
            self._transport.write(_burst(path, deltas))

    async def _drip(self, path: bytes, deltas: int, gap_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._transport.write(_STREAM_HEAD)
        due = time.monotonic()
        for chunk in _chunks(path, deltas):
            self._transport.write(chunk)
            due += gap_s
            # A thread sleeps, since the event loop's own timers round up to milliseconds.
            await loop.run_in_executor(None, time.sleep, max(0.0, due - time.monotonic()))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
