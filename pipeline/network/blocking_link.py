"""Connections of threads: reads that block, and how another thread ends them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import httpcore

from .address import Address, ProxyAddress
from .link import LONGEST_WAIT_S, READ_BYTES, Head, Link, core_proxy, core_request, created, cut_off
from .request_head import Pairs


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
        return self._link.body.take_rest() or self._link.body.split(self.receive(max_bytes))

    def receive(self, max_bytes: int) -> bytes:
        """Read what comes next, b"" at the end. Raises one of httpcore's exceptions."""
        link = self._link
        link.busy = True
        try:
            wait_s, sock = link.read_wait(), self._sock
            if sock is None:
                return link.took(self._inner.read(max_bytes, wait_s))
            if sock.gettimeout() != wait_s:  # setting it is a system call
                sock.settimeout(wait_s)
            return link.took(sock.recv(max_bytes))
        except TimeoutError as error:
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            raise httpcore.ReadError(error) from error
        finally:
            link.rest()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        link = self._link
        link.busy = True
        try:
            for piece in link.outgoing(buffer):
                self._inner.write(piece, link.read_wait())  # type: ignore[arg-type]
        finally:
            link.rest()

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
        # Held while the socket is shut, closed or handed to TLS: its number must not be another's by then.
        self._ending = threading.RLock()
        self._handed_over = False
        self._inner: httpcore.NetworkStream | None = None
        self._reader: _BlockingStream | None = None  # the topmost: TLS where there is any
        self._stream: Any = None
        self._chunks: Iterator[bytes] = iter(())
        pool = httpcore.ConnectionPool(ssl_context=context, proxy=core_proxy(proxy, context), network_backend=self)
        self._connection: httpcore.ConnectionInterface = created(pool.create_connection, address)

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
        self._reader = _BlockingStream(self, self._inner, self._inner.get_extra_info("socket"))
        return self._reader

    def secure(
        self, stream: httpcore.NetworkStream, context: ssl.SSLContext, server_hostname: str | None
    ) -> httpcore.NetworkStream:
        """Put TLS on top of `stream`."""
        wait = self.connect_wait()
        self.handshaking = True
        nested = stream.get_extra_info("ssl_object") is not None
        with self._ending:
            self._handed_over = not nested
        self._inner = stream.start_tls(context, server_hostname, wait)
        self._handed_over = False
        self.connected()
        self._reader = _BlockingStream(self, self._inner, None if nested else self._inner.get_extra_info("socket"))
        return self._reader

    def has_expired(self) -> bool:
        return self._connection.has_expired()

    async def send(self, method: str, address: Address, head: Pairs, body: bytes | None) -> Head:
        response = self._connection.handle_request(core_request(method, address, head, (body,) if body else ()))
        self._stream = response.stream
        self._chunks = iter(self._stream)
        return self.answered(method, response)

    async def chunk(self) -> bytes | None:
        body = self.body
        if body.ready:
            return body.take_ready()
        while body.is_open:
            assert self._reader is not None
            data = self._reader.receive(READ_BYTES)
            if not data:
                raise cut_off()
            if piece := body.feed(data):
                return piece
        return next(self._chunks, None)

    async def settle(self) -> bool:
        self._stream.close()
        return self._connection.is_idle() and not self.body.has_rest

    def rest(self) -> None:
        """Say that the thread that uses it waits no more."""
        # In this order: `close` sets closed first and looks at busy then.
        self.busy = False
        if self._closed:
            self.close()

    def close(self) -> None:
        self._closed = True
        if self.busy:  # another thread waits for its bytes, and closes it once it is woken
            self.shutdown()
            return
        with self._ending:
            inner, self._inner = self._inner, None
            if inner is not None:
                inner.close()

    def shutdown(self) -> None:
        """Make a wait in progress fail, from any thread; the descriptor stays with its owner, who closes it."""
        self.aborted = True
        with self._ending:
            if self._inner is None or self._handed_over:  # `connected` looks as soon as TLS is set up
                return
            with contextlib.suppress(OSError):  # not connected any more
                # Not SSLSocket's own: that one drops its TLS state, and a reader would get ciphertext.
                socket.socket.shutdown(self._inner.get_extra_info("socket"), socket.SHUT_RDWR)

    def close_from_elsewhere(self) -> None:
        self.shutdown()
        self.close()


class _BlockingWaiter:
    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()

    async def wait(self, seconds: float) -> bool:
        return self._lock.acquire(timeout=min(seconds, LONGEST_WAIT_S))


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
