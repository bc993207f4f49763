"""Connections: httpcore's, one at a time, over network streams that obey our time limits.

httpcore does HTTP/1.1, TLS and proxies. Its connection factory is used, its pool never is: a `Link` asks for one
connection and is at the same time the network backend of that connection, so it knows the socket from the moment
it exists (even while a TLS handshake is cancelled) and gives every read and write the time that the pace of the
running exchange allows.

`BlockingLink` and `LoopLink` are the same for threads and for event loops; the former's coroutines never suspend.
Importing this module imports httpcore and anyio, which is slow; import it when a connection is needed.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Iterator
from time import monotonic
from typing import Protocol, TypeVar

import httpcore

from ..errors import MissingExtra
from ..timeouts import Pace
from .address import DEFAULT_PORTS, Address, ProxyAddress
from .chunked_body import ChunkedBody
from .request_head import Pairs

# Platforms refuse timeouts beyond 2**31 ms.
LONGEST_WAIT_S = 2_000_000.0
_JOINED_BYTES = 64 * 1024
_WRITE_BYTES = 256 * 1024
READ_BYTES = 64 * 1024

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
        body: takes the chunks of the running exchange's answer apart.
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
        self.body = ChunkedBody()

    def start(self, pace: Pace, *, with_body: bool) -> None:
        """Prepare for the next exchange."""
        self.pace = pace
        self.received = False
        self._joining = with_body
        self.body = ChunkedBody()

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
        return seconds if seconds < LONGEST_WAIT_S else _long(seconds)

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
        return seconds if seconds < LONGEST_WAIT_S else _long(seconds)

    def connected(self) -> None:
        """Say that one step of connecting is done. Raises as `connect_wait`."""
        self.connect_s = monotonic() - self._began
        self.handshaking = self._tunnelling = self.received = False
        self.body = ChunkedBody()  # what came until now was the proxy's
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

    def answered(self, method: str, response: httpcore.Response) -> Head:
        """Note and return the head of an answer."""
        self.body.begin(method, response.status, response.headers)
        return response.status, response.headers

    def took(self, data: bytes) -> bytes:
        """Note and return what a read returned.

        Raises:
            httpcore.ReadError: the connection was aborted meanwhile, so `data` may be anything.
        """
        if self.aborted:
            raise httpcore.ReadError("it was closed")
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
        if self.body.is_open:  # its end has not come
            return False
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


class Waiter(Protocol):
    """Waits for a permit of the pool."""

    def wake(self) -> None: ...

    async def wait(self, seconds: float) -> bool:
        """Wait at most so long; tell whether `wake` was called."""
        ...


def has_input(sock: socket.socket) -> bool:
    """Tell whether a read of the socket would not wait: bytes are there, or its end."""
    fd = sock.fileno()
    if fd < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([fd], [], [], 0)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def cut_off() -> httpcore.RemoteProtocolError:
    return httpcore.RemoteProtocolError("it ended in the middle of its body")


def core_request(
    method: str, address: Address, head: Pairs, body: Iterable[bytes] | AsyncIterable[bytes]
) -> httpcore.Request:
    # A default port is left out, as a proxy for plain calls gets the whole URL.
    port = None if address.port == DEFAULT_PORTS[address.scheme] else address.port
    url = httpcore.URL(scheme=address.scheme.encode(), host=address.host.encode(), port=port, target=address.target)
    return httpcore.Request(method.encode(), url, headers=head, content=body)


def core_proxy(proxy: ProxyAddress | None, context: ssl.SSLContext | None) -> httpcore.Proxy | None:
    if proxy is None:
        return None
    auth = None if proxy.user is None else (proxy.user.encode(), proxy.password.encode())
    return httpcore.Proxy(proxy.url, auth=auth, ssl_context=context if proxy.url.startswith("https:") else None)


def created(create: Callable[[httpcore.Origin], Connection], address: Address) -> Connection:
    try:
        return create(httpcore.Origin(address.scheme.encode(), address.host.encode(), address.port))
    except ImportError as error:
        raise MissingExtra(
            "a SOCKS proxy is set, and the package socksio is not installed", hint="pip install 'httpcore[socks]'"
        ) from error


def _long(seconds: float) -> float | None:
    return None if seconds == float("inf") else LONGEST_WAIT_S


def _pieces(data: bytes) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + _WRITE_BYTES] for start in range(0, len(data), _WRITE_BYTES))
