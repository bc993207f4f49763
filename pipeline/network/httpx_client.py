"""The caller's own client as a transport: httpx, httpx2, or anything with their `build_request` and `send`.

Nothing of those libraries is imported. Limits are kept as well as their per-read timeout allows: it is set before the
request from the pace (`first_event` or `total`), and again before the body is read, where the pace knows `idle`
for a plain answer but still `first_event` for a stream; in between, the pace is looked at after every read.
Prefer the library's own transport: it obeys the limits at every read, and its connections survive cancellation.
"""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Iterator
from time import monotonic
from typing import Any, Literal, Protocol

from ..errors import AntiphonError, APIConnectionError, APIResponseError, SetupError
from ..http import Headers, HttpRequest
from ..timeouts import Pace
from . import offline
from .address import Address, parse_url
from .content_coding import Inflater, inflater_for
from .request_head import encode_head

_LEFT_OVER_CHUNKS = 1000


class ClientLike(Protocol):
    """What is used of a client. Its settings (proxies, certificates, authentication, hooks) stay in force."""

    def build_request(self, method: str, url: str, **settings: Any) -> Any: ...

    def send(self, request: Any, *, stream: bool) -> Any: ...


class HttpxTransport:
    """Opens exchanges through a client of the caller's, which is never closed here.

    Args:
        client: an `httpx.Client` or `httpx.AsyncClient`, or their like in httpx2.
        is_async: whether it serves async calls; must fit the client.
        max_body_bytes: largest body that `read()` returns, and largest inflated body.

    Raises:
        SetupError: `client` is something else, or of the other mode.
    """

    def __init__(self, client: ClientLike, *, is_async: bool, max_body_bytes: int = 64 * 1024 * 1024) -> None:
        if not callable(getattr(client, "build_request", None)) or not callable(getattr(client, "send", None)):
            raise SetupError(
                f"http client is a {type(client).__name__}; an httpx or httpx2 client is expected",
                hint="pass an httpx.Client for sync calls, an httpx.AsyncClient for async ones",
            )
        if hasattr(client, "aclose") is not is_async:
            needed, calls = ("AsyncClient", "async") if is_async else ("Client", "sync")
            raise SetupError(
                f"http client is a {type(client).__name__}, which cannot serve {calls} calls",
                hint=f"pass an httpx.{needed} for {calls} calls",
            )
        self.is_async = is_async
        self.max_body_bytes = max_body_bytes
        self._client = client

    def __repr__(self) -> str:
        return f"<HttpxTransport over {type(self._client).__module__}.{type(self._client).__name__}>"

    async def open(self, request: HttpRequest, pace: Pace) -> HttpxExchange:
        """Send `request` and return when the head of the answer is there. Raises as `http.Transport.open`."""
        address = parse_url(request.url)
        if offline.blocks:
            offline.refuse_network(address)
        head = encode_head(request, address)
        exchange = HttpxExchange(address, pace, is_async=self.is_async, limit_bytes=self.max_body_bytes)
        await exchange.begin(self._client, request, head)
        return exchange

    async def close(self) -> None:
        """Do nothing: the client is the caller's."""


class HttpxExchange:
    """An answer that comes through the caller's client. See `http.Exchange`."""

    def __init__(self, address: Address, pace: Pace, *, is_async: bool, limit_bytes: int) -> None:
        self.status = 0
        self.headers = Headers()
        self.queued_s = 0.0  # not told by the client
        self.connect_s = 0.0
        self._address = address
        self._pace = pace
        self._is_async = is_async
        self._limit_bytes = limit_bytes
        self._limit = "total"
        self._connect_limit = "connect"
        self._answer: Any = None
        self._chunks: Iterator[bytes] | AsyncIterator[bytes] | None = None
        self._inflater: Inflater | None = None
        self._connect_began: float | None = None
        self._sent = False
        self._started = False
        self._aborted = False
        self._whole = False

    async def begin(self, client: ClientLike, request: HttpRequest, head: list[tuple[bytes, bytes]]) -> None:
        """Send the request and wait for the head of the answer. Raises as `http.Transport.open`."""
        try:
            now = monotonic()
            connect, self._connect_limit = self._pace.next_connect(now)
            read = self._read_wait(now)
            timeout = {"connect": _finite(connect), "read": read, "write": read, "pool": read}
            prepared = client.build_request(
                request.method,
                request.url,
                headers=head,
                content=request.body,
                extensions={"timeout": timeout, "trace": self._note_async if self._is_async else self._note},
            )
            self._answer = await self._result(client.send(prepared, stream=True))
            self._started = True
            self.status = self._answer.status_code
            self.headers = Headers(self._answer.headers.multi_items())
            if not request.streamed:
                self._pace.started()
            # The library looks at its timeouts once more when the body begins.
            timeout["read"] = self._read_wait(monotonic())
            if getattr(self._answer, "is_stream_consumed", False):
                # A hook of the client has read it, or it never was a stream: `httpx.MockTransport` answers so.
                self._chunks = iter((self._answer.content,))
                return
            self._inflater = inflater_for(self.headers.get("content-encoding", ""), self._limit_bytes)
            self._chunks = aiter(self._answer.aiter_raw()) if self._is_async else iter(self._answer.iter_raw())
        except BaseException as error:
            failure = await self._failed(error)
            if failure is error:
                raise
            raise failure from error

    async def chunk(self) -> bytes:
        """Return the next bytes of the body, decoded; b"" at its end, every time. Raises as `http.Exchange.chunk`."""
        inflater = self._inflater
        try:
            while True:
                if inflater is not None and (piece := inflater.take()):
                    return piece
                if self._chunks is None:
                    if self._whole:
                        return b""
                    raise APIConnectionError(
                        f"the answer of {self._address.where} was closed before its end",
                        response_started=True,
                        retryable=False,
                    )
                data = await self._next()
                if data is None:
                    self._whole = True
                    await self._release()
                    if inflater is not None:
                        inflater.end()
                    return b""
                self._read_wait(monotonic())
                if inflater is not None:
                    inflater.feed(data)
                elif data:
                    return data
        except BaseException as error:
            failure = await self._failed(error)
            if failure is error:
                raise
            raise failure from error

    async def read(self) -> bytes:
        """Return the whole rest of the body and release the connection. Raises as `http.Exchange.read`."""
        pieces: list[bytes] = []
        total = 0
        while piece := await self.chunk():
            total += len(piece)
            if total > self._limit_bytes:
                raise await self._failed(
                    APIResponseError(
                        f"the answer of {self._address.where} is longer than {self._limit_bytes} bytes (max_body_bytes)"
                    )
                )
            pieces.append(piece)
        return b"".join(pieces)

    async def close(self) -> None:
        """Release the connection; the client keeps it if the body was read to its end. Idempotent."""
        await self._release()

    def abort(self) -> None:
        """Shut the socket down from any thread, where the client tells it. Idempotent."""
        if not self._aborted and not self._whole:
            self._aborted = True
            self._shutdown()

    def _read_wait(self, now: float) -> float | None:
        seconds, self._limit = self._pace.next_read(now)
        if seconds <= 0.0:
            raise TimeoutError
        return _finite(seconds)

    async def _next(self) -> bytes | None:
        chunks = self._chunks
        if isinstance(chunks, Iterator):
            return next(chunks, None)
        try:
            return await anext(chunks)  # type: ignore[arg-type]
        except StopAsyncIteration:
            return None

    async def _release(self) -> None:
        answer, self._answer = self._answer, None
        chunks, self._chunks = self._chunks, None
        if answer is None:
            return
        if not self._is_async:
            answer.close()
            return
        try:
            if not self._whole and self._shutdown(answer):
                # Lets the library's nested generators run into the closed socket, and thereby to an end of theirs;
                # closing only the outer one would leave the others to the loop, of which trio complains.
                with contextlib.suppress(Exception):
                    for _ in range(_LEFT_OVER_CHUNKS):
                        await anext(chunks)  # type: ignore[arg-type]
        finally:
            await answer.aclose()

    def _shutdown(self, answer: Any = None) -> bool:
        answer = answer or self._answer
        stream = None if answer is None else answer.extensions.get("network_stream")
        sock = None if stream is None else stream.get_extra_info("socket")
        if sock is None:
            return False
        with contextlib.suppress(OSError):
            if isinstance(sock, socket.socket):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's own, which drops its TLS state
            else:
                sock.shutdown(socket.SHUT_RDWR)
        return True

    async def _result(self, value: Any) -> Any:
        if self._is_async:
            awaited: Awaitable[Any] = value
            return await awaited
        return value

    async def _failed(self, error: BaseException) -> BaseException:
        with contextlib.suppress(Exception):
            await self._release()
        if not isinstance(error, Exception):
            return error
        from .connection_faults import Situation, aborted, fault_of, kind_of, limit_length, timed_out

        limit: Literal["pool"] | str = self._limit
        if kind_of(error) == "timeout" and type(error).__name__ in ("ConnectTimeout", "PoolTimeout"):
            limit = self._connect_limit if type(error).__name__ == "ConnectTimeout" else "pool"
        situation = Situation(
            self._address.where,
            limit=limit,
            limit_s=limit_length(self._pace.timeouts, limit),
            reused=self._sent and self._connect_began is None,
            started=self._started,
        )
        if self._aborted:
            return aborted(situation)
        if isinstance(error, TimeoutError) and not isinstance(error, AntiphonError):
            return timed_out(situation)
        if isinstance(error, AntiphonError) or (kind_of(error) is None and not isinstance(error, OSError)):
            return error
        return fault_of(error, situation)

    def _note(self, event: str, info: object) -> None:
        """Learn from the client's trace whether it connected."""
        if event.endswith("connect_tcp.started"):
            self._connect_began = monotonic()
        elif event.endswith(("connect_tcp.complete", "start_tls.complete")) and self._connect_began is not None:
            self.connect_s = monotonic() - self._connect_began
        elif event.endswith("send_request_headers.started"):
            self._sent = True

    async def _note_async(self, event: str, info: object) -> None:
        self._note(event, info)


def _finite(seconds: float) -> float | None:
    return None if seconds == math.inf else min(seconds, 2_000_000.0)
