"""Connections of an event loop: reads that await, and what happens to them when the loop ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, ClassVar, cast

import anyio
import httpcore

from .address import Address, ProxyAddress
from .event_loop import at_loop_end, poster, step
from .link import READ_BYTES, Head, Link, core_proxy, core_request, created, cut_off
from .request_head import Pairs


class _LoopStream(httpcore.AsyncNetworkStream):
    def __init__(self, link: LoopLink, inner: httpcore.AsyncNetworkStream) -> None:
        self._link = link
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        body = self._link.body
        return body.take_rest() or body.split(await self.receive(max_bytes))

    async def receive(self, max_bytes: int) -> bytes:
        """Read what comes next, b"" at the end. Raises one of httpcore's exceptions."""
        link = self._link
        return link.took(await self._inner.read(max_bytes, link.read_wait()))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        link = self._link
        for piece in link.outgoing(buffer):
            await self._inner.write(piece, link.read_wait())  # type: ignore[arg-type]

    async def aclose(self) -> None:
        self._link.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return await self._link.secure(self._inner, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


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

    # Its own type names a parameter otherwise than its base.
    _network: ClassVar[httpcore.AsyncNetworkBackend] = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    def __init__(self, address: Address, context: ssl.SSLContext | None, proxy: ProxyAddress | None) -> None:
        super().__init__(address, proxy)
        self._raw: httpcore.AsyncNetworkStream | None = None
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
        wait = self.connect_wait()
        # Kept although TLS may be put on top: httpcore forgets it when a handshake is cancelled.
        self._raw = await self._network.connect_tcp(host, port, wait, local_address, socket_options)
        self.connected()
        self._reader = _LoopStream(self, self._raw)
        return self._reader

    async def secure(
        self, stream: httpcore.AsyncNetworkStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> httpcore.AsyncNetworkStream:
        """Put TLS on top of `stream`."""
        wait = self.connect_wait()
        self.handshaking = True
        secured = await stream.start_tls(context, server_hostname, wait)
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
