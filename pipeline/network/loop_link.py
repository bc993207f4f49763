"""Connections of an event loop: reads that await, and what happens to them when the loop ends."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from typing import Any

import anyio
import httpcore

from ..runtimes.event_loop import at_loop_end, is_trio, poster
from ..timeouts import Pace
from .address import Address, ProxyAddress
from .anyio_stream import AnyioStream, within
from .asyncio_stream import AsyncioStream
from .link import Head, Link, core_proxy, core_request, created, cut_off
from .request_head import Pairs


class _LoopStream(httpcore.AsyncNetworkStream):
    """The stream of a link, as httpcore wants it."""

    def __init__(self, link: LoopLink, stream: AsyncioStream | AnyioStream) -> None:
        self._link = link
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        body = self._link.body
        return body.take_rest() or body.split(await self._link.receive())

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        link = self._link
        for piece in link.outgoing(buffer):
            await self._stream.send(piece, link.read_wait())

    async def aclose(self) -> None:
        self._link.close()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        await self._link.secure(ssl_context, server_hostname)
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._stream.has_input() if info == "is_readable" else self._stream.extra(info)


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
        self._socket: AsyncioStream | AnyioStream | None = None
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
        kind: type[AsyncioStream | AnyioStream] = AnyioStream if is_trio() else AsyncioStream
        with _connecting(self.connect_wait()):
            self._socket = await kind.connect(host, port, local_address)
        assert self._socket is not None
        sock = self._socket.extra("socket")
        for option in socket_options or ():
            sock.setsockopt(*option)
        self.connected()
        return _LoopStream(self, self._socket)

    async def secure(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Put TLS on top of what there is."""
        assert self._socket is not None
        wait = self.connect_wait()
        self.handshaking = True
        with _connecting(wait):
            await self._socket.start_tls(context, server_hostname)
        self.connected()

    def start(self, pace: Pace, *, with_body: bool) -> None:
        super().start(pace, with_body=with_body)
        if self._socket is not None:
            self._socket.resume()

    async def receive(self) -> bytes:
        """Read what comes next, b"" at the end. Raises one of httpcore's exceptions."""
        wait_s = self.read_wait()  # raises where it is closed
        assert self._socket is not None
        return self.took(await self._socket.receive(wait_s))

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
            data = await self.receive()
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
        if not self._connection.is_idle() or self.body.has_rest or self._socket is None:
            return False
        self._socket.pause()
        return True

    def close(self) -> None:
        self._closed = True
        sock, self._socket = self._socket, None
        if sock is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                sock.close()

    def close_from_elsewhere(self) -> None:
        self.close()


@contextlib.contextmanager
def _connecting(wait_s: float | None) -> Generator[None]:
    """Bound a step of connecting. Raises one of httpcore's exceptions."""
    try:
        with within(wait_s) as scope:
            yield
    except OSError as error:
        raise httpcore.ConnectError(error) from error
    if scope.cancelled_caught:
        raise httpcore.ConnectTimeout


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
