"""Connections of an event loop: reads that await, and what happens to them when the loop ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import anyio
import httpcore
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from .address import Address, ProxyAddress
from .event_loop import at_loop_end, poster, step
from .link import READ_BYTES, Head, Link, core_proxy, core_request, created, cut_off, has_input
from .request_head import Pairs


class _LoopStream(httpcore.AsyncNetworkStream):
    """A stream of a link, right on anyio's: httpcore's own takes two context managers more for every read."""

    def __init__(self, link: LoopLink, stream: ByteStream) -> None:
        self._link = link
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        body = self._link.body
        return body.take_rest() or body.split(await self.receive(max_bytes))

    async def receive(self, max_bytes: int) -> bytes:
        """Read what comes next, b"" at the end. Raises one of httpcore's exceptions."""
        link = self._link
        try:
            with _within(link.read_wait()):
                return link.took(await self._stream.receive(max_bytes))
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpcore.ReadError(error) from error
        raise httpcore.ReadTimeout

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        link = self._link
        for piece in link.outgoing(buffer):
            try:
                with _within(link.read_wait()) as scope:
                    await self._stream.send(piece)  # type: ignore[arg-type]
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise httpcore.WriteError(error) from error
            if scope.cancelled_caught:
                raise httpcore.WriteTimeout

    async def aclose(self) -> None:
        self._link.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await self._link.secure(self._stream, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)
        sock = self._stream.extra(SocketAttribute.raw_socket, None)
        if info == "is_readable":
            return sock is None or has_input(sock)
        return sock if info == "socket" else None


def _within(wait_s: float | None) -> anyio.CancelScope:
    return anyio.CancelScope() if wait_s is None else anyio.CancelScope(deadline=anyio.current_time() + wait_s)


class _LoopBody:
    """A request's body, once. No generator, which would be left suspended when the upload fails."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes | None) -> None:
        self._body = body

    def __aiter__(self) -> _LoopBody:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        if not body:
            raise StopAsyncIteration
        return body


class LoopLink(Link, httpcore.AsyncNetworkBackend):
    """A connection of one event loop, asyncio's or trio's."""

    def __init__(self, address: Address, context: ssl.SSLContext | None, proxy: ProxyAddress | None) -> None:
        super().__init__(address, proxy)
        self._raw: ByteStream | None = None
        self._reader: _LoopStream | None = None  # the topmost: TLS where there is any
        self._stream: Any = None
        self._chunks: AsyncIterator[bytes] | None = None
        pool = httpcore.AsyncConnectionPool(ssl_context=context, proxy=core_proxy(proxy, context), network_backend=self)
        self._connection: httpcore.AsyncConnectionInterface = created(pool.create_connection, address)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            with _within(self.connect_wait()) as scope:
                # Kept although TLS may be put on top, whose handshake may be cancelled.
                self._raw = await anyio.connect_tcp(host, port, local_host=local_address)
        except (OSError, anyio.BrokenResourceError) as error:
            raise httpcore.ConnectError(error) from error
        if scope.cancelled_caught or self._raw is None:
            raise httpcore.ConnectTimeout
        sock = self._raw.extra(SocketAttribute.raw_socket)
        for option in socket_options or ():
            sock.setsockopt(*option)
        self.connected()
        self._reader = _LoopStream(self, self._raw)
        return self._reader

    async def secure(
        self, stream: ByteStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> httpcore.AsyncNetworkStream:
        """Put TLS on top of `stream`."""
        wait = self.connect_wait()
        self.handshaking = True
        secured: TLSStream | None = None
        try:
            with _within(wait):
                secured = await TLSStream.wrap(
                    stream, ssl_context=context, hostname=server_hostname, standard_compatible=False, server_side=False
                )
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ssl.SSLError) as error:
            raise httpcore.ConnectError(error) from error
        if secured is None:
            raise httpcore.ConnectTimeout
        self.connected()
        self._reader = _LoopStream(self, secured)
        return self._reader

    def has_expired(self) -> bool:
        return self._connection.has_expired()

    async def send(self, method: str, address: Address, head: Pairs, body: bytes | None) -> Head:
        response = await self._connection.handle_async_request(core_request(method, address, head, _LoopBody(body)))
        self._stream = response.stream
        self._chunks = self._stream.__aiter__()
        return self.answered(method, response)

    async def chunk(self) -> bytes | None:
        body = self.body
        if body.ready:
            return body.take_ready()
        while body.is_open:
            assert self._reader is not None
            data = await self._reader.receive(READ_BYTES)
            if not data:
                raise cut_off()
            if piece := body.feed(data):
                return piece
        assert self._chunks is not None
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            return None

    async def settle(self) -> bool:
        await self._stream.aclose()
        return self._connection.is_idle() and not self.body.has_rest

    def close(self) -> None:
        self._closed = True
        raw, self._raw = self._raw, None
        if raw is not None:
            # anyio's streams close their socket before they first suspend (and suspend only to let others run),
            # so one step is enough; and a close that does not wait cannot be cancelled.
            with contextlib.suppress(OSError, RuntimeError):  # closed already, or its loop has ended
                step(raw.aclose())

    def close_from_elsewhere(self) -> None:
        self.close()


class _LoopWaiter:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def wake(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._event.wait()
        return self._event.is_set()


class LoopSide:
    """How tasks of one event loop wait, and what they connect with.

    Args:
        loop: the asyncio loop, or trio's token.
    """

    link = LoopLink
    waiter = _LoopWaiter

    def __init__(self, loop: Any) -> None:
        self._post = poster(loop)
        self._end: Callable[[], object] = lambda: None

    def post(self, job: Callable[[], object]) -> None:
        """Run `job` in the loop soon; from any thread. Nothing happens when the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._post(job)

    def abort(self, link: Link) -> None:
        """Make a wait in progress on `link` fail; from any thread."""
        link.aborted = True
        self.post(link.close)

    def at_end(self, job: Callable[[], object]) -> None:
        """Run `job` when the loop ends."""
        self._end = at_loop_end(job)

    def forget(self) -> None:
        """Run that job now."""
        self._end()
