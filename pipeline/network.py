"""Connections: httpcore's, one at a time, over network streams that obey our time limits.

httpcore does HTTP/1.1, TLS and proxies. Its connection factory is used, its pool never is: a `Link` asks for one
connection and is at the same time the network backend of that connection, so it knows the socket from the moment
it exists (even while a TLS handshake is cancelled) and gives every read and write the time that the pace of the
running exchange allows.

`BlockingLink` and `LoopLink` are the same for threads and for event loops; the former's coroutines never suspend.
Importing this module imports httpcore and anyio, which is slow; import it when a connection is needed.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Hashable, Iterable, Iterator
from functools import lru_cache
from time import monotonic
from typing import Any, ClassVar, Protocol, TypeVar, cast

import anyio
import httpcore

from .address import DEFAULT_PORTS, Address, ProxyAddress
from .chunk_joining import ChunkJoiner
from .errors import MissingExtra, SetupError
from .request_head import Pairs
from .timeouts import Pace
from .wording import quoted

# Platforms refuse timeouts beyond 2**31 ms.
_LONGEST_WAIT_S = 2_000_000.0
_JOINED_BYTES = 64 * 1024
_WRITE_BYTES = 256 * 1024

Verify = bool | str | ssl.SSLContext
Connection = TypeVar("Connection")
Head = tuple[int, list[tuple[bytes, bytes]]]


class Link:
    """One connection of the pool: its socket, and what bounds its waits.

    Attributes:
        key: what it connects to.
        via: the proxy's "host:port".
        idle_since: when it was last put back, monotonic seconds.
        uses: how many exchanges it has served to their end.
        pace: of the running exchange.
        limit: which limit bounded the last wait.
        received: whether any byte of the running exchange's answer has come.
        handshaking: whether TLS is or was being set up when the last wait began.
        aborted: whether its exchange was aborted; it is not read any more then.
        connect_s: how long connecting took, seconds.
        joiner: frames the running exchange's answer anew.
    """

    def __init__(self, address: Address, proxy: ProxyAddress | None) -> None:
        self.key: Hashable = address.key
        self.via = None if proxy is None else proxy.where
        self.idle_since = 0.0
        self.uses = 0
        self.pace: Pace | None = None
        self.limit = "total"
        self.received = False
        self.handshaking = False
        self.aborted = False
        self.connect_s = 0.0
        self._began = 0.0
        self._tunnelling = False
        self._silent = False
        self._closed = False
        self._joining = False
        self._held = b""
        self.joiner = ChunkJoiner()

    def start(self, pace: Pace, *, with_body: bool) -> None:
        """Prepare for the next exchange."""
        self.pace = pace
        self.received = False
        self._joining = with_body
        self.joiner = ChunkJoiner()

    def read_wait(self) -> float | None:
        """Return the seconds that the next read or write may take; None for any time.

        Raises:
            httpcore.ReadTimeout: none are left.
            httpcore.ReadError: nothing more may be read.
        """
        if self._silent or self._closed or self.aborted:
            raise httpcore.ReadError("the connection is no longer read")
        if self._tunnelling:  # asking a proxy for a tunnel is a step of connecting
            return self.connect_wait()
        pace = self.pace
        assert pace is not None
        seconds, self.limit = pace.next_read(monotonic())
        if seconds <= 0.0:
            raise httpcore.ReadTimeout
        return seconds if seconds < _LONGEST_WAIT_S else _long(seconds)

    def connect_wait(self) -> float | None:
        """Return the seconds that the next step of connecting may take; None for any time. Raises as `read_wait`."""
        if self._closed or self.aborted:
            raise httpcore.ConnectError("the connection is closed")
        pace = self.pace
        assert pace is not None
        now = monotonic()
        self._began = self._began or now
        seconds, self.limit = pace.next_connect(now)
        if seconds <= 0.0:
            raise httpcore.ConnectTimeout
        return seconds if seconds < _LONGEST_WAIT_S else _long(seconds)

    def connected(self) -> None:
        """Say that one step of connecting is done. Raises as `connect_wait`."""
        self.connect_s = monotonic() - self._began
        self.handshaking = self._tunnelling = self.received = False
        self.joiner = ChunkJoiner()  # what came until now was the proxy's
        if self._closed or self.aborted:
            raise httpcore.ConnectError("the connection is closed")

    def outgoing(self, data: bytes) -> Iterable[bytes | memoryview]:
        """Return what to write now for `data`: a head is kept to go out with its body, long bodies go in pieces.

        A head and body in one write are one packet and one system call less; pieces let a slow upload see its limit.
        """
        if data.startswith(b"CONNECT "):
            self._tunnelling = True
        elif self._joining and data.endswith(b"\r\n\r\n"):  # no head: the greeting of a SOCKS proxy
            self._joining, self._held = False, data
            return ()
        if not data:
            return ()
        if self._held:
            head, self._held = self._held, b""
            if len(data) > _JOINED_BYTES:
                return (head, *_pieces(data))
            data = head + data
        return (data,) if len(data) <= _WRITE_BYTES else _pieces(data)

    def took(self, data: bytes) -> bytes:
        """Note and return what a read returned.

        Raises:
            httpcore.ReadError: the connection was aborted meanwhile, so `data` may be anything.
        """
        if self.aborted:
            raise httpcore.ReadError("aborted")
        if data:
            self.received = True
        return data

    def close_from_elsewhere(self) -> None:
        """Close while somebody else may use it, whose use fails."""
        raise NotImplementedError

    def has_expired(self) -> bool:
        """Tell whether the idle connection was closed by the other side. One poll of the socket."""
        raise NotImplementedError

    async def send(self, method: str, address: Address, head: Pairs, body: bytes | None) -> Head:
        """Send a request, connecting first if need be; return the status and headers of the answer.

        Raises:
            Exception: one of httpcore's. The link must be closed then, and upon anything else too.
        """
        raise NotImplementedError

    async def chunk(self) -> bytes | None:
        """Return the next bytes of the body, None at its end. Raises as `send`."""
        raise NotImplementedError

    async def settle(self) -> bool:
        """End an exchange that was read to its end; tell whether the connection can serve again."""
        raise NotImplementedError

    async def drain(self) -> bool:
        """Read what is buffered without waiting; tell whether that was all, and the connection can serve again.

        It also runs httpcore's generators to an end of theirs, which a loop would otherwise have to finish late.
        """
        self._silent = True
        try:
            while await self.chunk() is not None:
                pass
            return await self.settle()
        except Exception:
            return False
        finally:
            self._silent = False

    def close(self) -> None:
        """Close the socket, at once. Idempotent."""
        raise NotImplementedError


class _BlockingStream(httpcore.NetworkStream):
    """A stream of a link. It reads its socket itself where it can: httpcore takes ten calls more for every read.

    Args:
        sock: None where the bytes of the socket are not those of the stream: TLS inside of TLS.
    """

    def __init__(self, link: BlockingLink, inner: httpcore.NetworkStream, sock: socket.socket | None) -> None:
        self._link = link
        self._inner = inner
        self._sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        link = self._link
        # In this order: `BlockingLink.close_from_elsewhere` sets closed first and looks at busy then.
        link.busy = True
        try:
            while data := link.took(self._receive(max_bytes, link.read_wait())):
                if joined := link.joiner.feed(data):
                    return joined
            return b""
        finally:
            link.busy = False

    def _receive(self, max_bytes: int, wait_s: float | None) -> bytes:
        sock = self._sock
        if sock is None:
            return self._inner.read(max_bytes, wait_s)
        try:
            if sock.gettimeout() != wait_s:  # setting it is a system call
                sock.settimeout(wait_s)
            return sock.recv(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        link = self._link
        link.busy = True
        try:
            for piece in link.outgoing(buffer):
                self._inner.write(piece, link.read_wait())  # type: ignore[arg-type]
        finally:
            link.busy = False

    def close(self) -> None:
        self._link.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self._link.secure(self._inner, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class BlockingLink(Link, httpcore.NetworkBackend):
    """A connection for threads: its coroutines block and return."""

    _network: ClassVar[httpcore.NetworkBackend] = httpcore.SyncBackend()

    def __init__(self, address: Address, context: ssl.SSLContext | None, proxy: ProxyAddress | None) -> None:
        super().__init__(address, proxy)
        self.busy = False
        self._inner: httpcore.NetworkStream | None = None
        self._stream: Any = None
        self._chunks: Iterator[bytes] = iter(())
        pool = httpcore.ConnectionPool(ssl_context=context, proxy=_core_proxy(proxy, context), network_backend=self)
        self._connection: httpcore.ConnectionInterface = _created(pool.create_connection, address)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        wait = self.connect_wait()
        self._inner = self._network.connect_tcp(host, port, wait, local_address, socket_options or ())
        self.connected()
        return _BlockingStream(self, self._inner, self._inner.get_extra_info("socket"))

    def secure(
        self, stream: httpcore.NetworkStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> httpcore.NetworkStream:
        """Put TLS on top of `stream`."""
        wait = self.connect_wait()
        self.handshaking = True
        nested = stream.get_extra_info("ssl_object") is not None
        self._inner = stream.start_tls(context, server_hostname, wait)
        self.connected()
        return _BlockingStream(self, self._inner, None if nested else self._inner.get_extra_info("socket"))

    def has_expired(self) -> bool:
        return self._connection.has_expired()

    async def send(self, method: str, address: Address, head: Pairs, body: bytes | None) -> Head:
        response = self._connection.handle_request(_request(method, address, head, (body,) if body else ()))
        self._stream = response.stream
        self._chunks = iter(self._stream)
        return response.status, response.headers

    async def chunk(self) -> bytes | None:
        return next(self._chunks, None)

    async def settle(self) -> bool:
        self._stream.close()
        return self._connection.is_idle()

    def close(self) -> None:
        self._closed = True
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def shutdown(self) -> None:
        """Make a wait in progress fail, from any thread; the descriptor stays with its owner, who closes it."""
        self.aborted = True
        sock = None if self._inner is None else self._inner.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError):  # not connected any more
                # Not SSLSocket's own: that one drops its TLS state, and a reader would get ciphertext.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close_from_elsewhere(self) -> None:
        """Close from another thread than the one that uses it, which closes it itself if it is waiting right now."""
        self.shutdown()
        self._closed = True
        if not self.busy:
            self.close()


class _LoopStream(httpcore.AsyncNetworkStream):
    def __init__(self, link: LoopLink, inner: httpcore.AsyncNetworkStream) -> None:
        self._link = link
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        link = self._link
        while data := link.took(await self._inner.read(max_bytes, link.read_wait())):
            if joined := link.joiner.feed(data):
                return joined
        return b""

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
        self._stream: Any = None
        self._chunks: AsyncIterator[bytes] | None = None
        pool = httpcore.AsyncConnectionPool(
            ssl_context=context, proxy=_core_proxy(proxy, context), network_backend=self
        )
        self._connection: httpcore.AsyncConnectionInterface = _created(pool.create_connection, address)

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
        return _LoopStream(self, self._raw)

    async def secure(
        self, stream: httpcore.AsyncNetworkStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> httpcore.AsyncNetworkStream:
        """Put TLS on top of `stream`."""
        wait = self.connect_wait()
        self.handshaking = True
        secured = await stream.start_tls(context, server_hostname, wait)
        self.connected()
        return _LoopStream(self, secured)

    def has_expired(self) -> bool:
        return self._connection.has_expired()

    async def send(self, method: str, address: Address, head: Pairs, body: bytes | None) -> Head:
        response = await self._connection.handle_async_request(_request(method, address, head, _LoopBody(body)))
        self._stream = response.stream
        self._chunks = self._stream.__aiter__()
        return response.status, response.headers

    async def chunk(self) -> bytes | None:
        assert self._chunks is not None
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            return None

    async def settle(self) -> bool:
        await self._stream.aclose()
        return self._connection.is_idle()

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


def step(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine up to its first suspension, and no further. Raises what it raises."""
    try:
        with contextlib.suppress(StopIteration, StopAsyncIteration):
            coroutine.send(None)
    finally:
        coroutine.close()


class Waiter(Protocol):
    """Waits for a permit of the pool."""

    def wake(self) -> None: ...

    async def wait(self, seconds: float) -> bool:
        """Wait at most so long; tell whether `wake` was called."""
        ...


class _BlockingWaiter:
    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()

    async def wait(self, seconds: float) -> bool:
        return self._lock.acquire(timeout=min(seconds, _LONGEST_WAIT_S))


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


class BlockingSide:
    """How threads wait, and what they connect with."""

    link = BlockingLink
    waiter = _BlockingWaiter

    def post(self, job: Callable[[], object]) -> None:
        """Run `job` where the pool lives: here."""
        job()

    def abort(self, link: Link) -> None:
        """Make a wait in progress on `link` fail; from any thread."""
        assert isinstance(link, BlockingLink)
        link.shutdown()

    def at_end(self, job: Callable[[], object]) -> None:
        """Nothing ends before the process does."""

    def forget(self) -> None:
        """There is nothing to undo."""


class LoopSide:
    """How tasks of one event loop wait, and what they connect with.

    Args:
        loop: the asyncio loop, or trio's token.
    """

    link = LoopLink
    waiter = _LoopWaiter

    def __init__(self, loop: Any) -> None:
        self._post = loop.run_sync_soon if hasattr(loop, "run_sync_soon") else loop.call_soon_threadsafe
        self._guard: Any = None

    def post(self, job: Callable[[], object]) -> None:
        """Run `job` in the loop soon; from any thread. Nothing happens when the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._post(job)

    def abort(self, link: Link) -> None:
        """Make a wait in progress on `link` fail; from any thread."""
        link.aborted = True
        self.post(link.close)

    def at_end(self, job: Callable[[], object]) -> None:
        """Run `job` when the loop ends: loops close the asynchronous generators that were begun in them."""

        async def guard() -> AsyncIterator[None]:
            try:
                yield
            finally:
                job()

        self._guard = guard()
        step(self._guard.__anext__())

    def forget(self) -> None:
        """End the guard, and thereby run its job, now."""
        if self._guard is not None:
            guard, self._guard = self._guard, None
            step(guard.aclose())


def ssl_context(verify: Verify) -> ssl.SSLContext:
    """Return the TLS settings for `verify`: the caller's own context, a CA file or folder, the usual CAs, or no check.

    The usual ones are certifi's, or those of SSL_CERT_FILE and SSL_CERT_DIR. Contexts are made once and shared.

    Raises:
        SetupError: the CA file or folder cannot be read.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    return _made_context(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=8)
def _made_context(verify: bool | str, ca_file: str | None, ca_dir: str | None) -> ssl.SSLContext:
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if isinstance(verify, str):
        ca_file, ca_dir = (None, verify) if os.path.isdir(verify) else (verify, None)
    if not ca_file and not ca_dir:
        return httpcore.default_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file or None, capath=ca_dir or None)
    except (OSError, ssl.SSLError) as error:
        raise SetupError(
            f"the CA certificates in {quoted(ca_file or ca_dir)} cannot be read",
            hint="check verify=, SSL_CERT_FILE and SSL_CERT_DIR",
        ) from error


def _request(
    method: str, address: Address, head: Pairs, body: Iterable[bytes] | AsyncIterable[bytes]
) -> httpcore.Request:
    # A default port is left out, as a proxy for plain calls gets the whole URL.
    port = None if address.port == DEFAULT_PORTS[address.scheme] else address.port
    url = httpcore.URL(scheme=address.scheme.encode(), host=address.host.encode(), port=port, target=address.target)
    return httpcore.Request(method.encode(), url, headers=head, content=body)


def _core_proxy(proxy: ProxyAddress | None, context: ssl.SSLContext | None) -> httpcore.Proxy | None:
    if proxy is None:
        return None
    auth = None if proxy.user is None else (proxy.user.encode(), proxy.password.encode())
    return httpcore.Proxy(proxy.url, auth=auth, ssl_context=context if proxy.url.startswith("https:") else None)


def _created(create: Callable[[httpcore.Origin], Connection], address: Address) -> Connection:
    try:
        return create(httpcore.Origin(address.scheme.encode(), address.host.encode(), address.port))
    except ImportError as error:
        raise MissingExtra(
            "a SOCKS proxy is set, and the package socksio is not installed", hint="pip install 'httpcore[socks]'"
        ) from error


def _long(seconds: float) -> float | None:
    return None if seconds == float("inf") else _LONGEST_WAIT_S


def _pieces(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + _WRITE_BYTES] for start in range(0, len(data), _WRITE_BYTES))
