"""A transport that answers from memory, so that what is left is the library's own cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import payloads

from antiphon.pipeline.http import Headers, HttpRequest
from antiphon.pipeline.timeouts import Pace

READ_BYTES = 64 * 1024
"""The most that one read of a socket returns."""


class Canned:
    """Answers every plain call with the same body and every streamed one with the same reads.

    Args:
        reads: makes the reads of one stream.
    """

    def __init__(self, reads: Callable[[], Iterable[bytes]]) -> None:
        self._reads = reads
        self._plain = (payloads.plain(),)

    async def open(self, request: HttpRequest, pace: Pace) -> CannedExchange:
        if request.streamed:
            return CannedExchange(_STREAM, self._reads())
        return CannedExchange(_PLAIN, self._plain)

    async def close(self) -> None:
        """Nothing is open."""


class CannedExchange:
    """One answer; see `antiphon.pipeline.http.Exchange`."""

    __slots__ = ("_reads", "headers")

    status = 200
    queued_s = 0.0
    connect_s = 0.0

    def __init__(self, headers: Headers, reads: Iterable[bytes]) -> None:
        self.headers = headers
        self._reads = iter(reads)

    async def chunk(self) -> bytes:
        return next(self._reads, b"")

    async def read(self) -> bytes:
        return b"".join(self._reads)

    async def close(self) -> None:
        self._reads = iter(())

    def abort(self) -> None:
        self._reads = iter(())


_PLAIN = Headers([("content-type", "application/json"), ("x-request-id", "req_mock")])
_STREAM = Headers([("content-type", "text/event-stream; charset=utf-8"), ("x-request-id", "req_mock")])


def pieces(data: bytes) -> list[bytes]:
    """Cut a stream into the reads of a host that is faster than its reader."""
    return [data[at : at + READ_BYTES] for at in range(0, len(data), READ_BYTES)]
