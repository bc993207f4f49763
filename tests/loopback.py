"""Loopback servers for tests: real sockets, scripted answers, in threads.

A server is a function `serve(connection)` that is called in a thread for every connection:

    def hello(connection):
        while connection.request():
            connection.answer(b"hello")

    with Server(hello) as server:
        ... server.url ...
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import trustme


def open_descriptors() -> int:
    """Return how many file descriptors this process has open."""
    return len(os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"))


@cache
def authority() -> trustme.CA:
    """Return a certificate authority that nobody trusts unless told so."""
    return trustme.CA()


def server_context(*names: str) -> ssl.SSLContext:
    """Return a server's TLS settings with a certificate of the test CA for `names`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names).configure_cert(context)
    return context


def client_context() -> ssl.SSLContext:
    """Return a client's TLS settings that trust the test CA only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


@dataclass
class Received:
    """One request as the server got it."""

    line: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        self.sock = sock
        self.server = server
        self._buffer = b""

    def request(self) -> Received | None:
        """Read one request; None when the client closed."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        line, *rows = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (row.partition(":") for row in rows)}
        length = int(headers.get("content-length", 0))
        parts, have = [self._buffer], len(self._buffer)
        while have < length:
            data = self._read()
            if not data:
                return None
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[length:]
        received = Received(line, headers, whole[:length])
        self.server.requests.append(received)
        return received

    def answer(self, body: bytes = b"", status: str = "200 OK", **headers: str) -> None:
        """Send a whole answer with a content-length."""
        rows = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.send(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{rows}\r\n".encode("latin-1") + body)

    def begin_stream(self) -> None:
        """Send the head of a chunked event stream."""
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def send_chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked answer; b"" ends it."""
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close such that the client sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def wait_for_close(self) -> None:
        """Do nothing until the client has closed."""
        while self._read():
            pass

    def _more(self) -> bool:
        data = self._read()
        self._buffer += data
        return bool(data)

    def _read(self) -> bytes:
        try:
            return self.sock.recv(256 * 1024)
        except OSError:
            return b""


@dataclass
class Server:
    """A loopback server; use it as a context manager.

    Args:
        serve: called in a thread for every connection; when it returns, the connection is closed.
        tls: TLS settings, None for plain.
    """

    serve: Callable[[Connection], object]
    tls: ssl.SSLContext | None = None
    requests: list[Received] = field(default_factory=list)
    accepted: int = 0

    def __enter__(self) -> Server:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):  # wakes the acceptor
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._acceptor.join()
        self._listener.close()
        for sock in list(self._connections):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    @property
    def url(self) -> str:
        """The server's address, e.g. "http://127.0.0.1:4711"."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections are open, as the server sees it."""
        return len(self._connections)

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            if self._stopping.is_set():
                sock.close()
                return
            self.accepted += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(sock)
            thread = threading.Thread(target=self._run, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, sock: socket.socket) -> None:
        raw = sock
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._connections.add(sock)
            self.serve(Connection(sock, self))
        except OSError:
            pass  # the client went away
        finally:
            for each in {raw, sock}:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
                each.close()
                self._connections.discard(each)


def echo(connection: Connection) -> None:
    """Answer every request with its own body, and "ok" when it has none."""
    while (received := connection.request()) is not None:
        connection.answer(received.body or b"ok")


def proxy_to(port: int) -> Callable[[Connection], None]:
    """Return a proxy that takes every host for this machine's `port`: forwards plain calls, tunnels CONNECT."""

    def serve(connection: Connection) -> None:
        while (received := connection.request()) is not None:
            upstream = socket.create_connection(("127.0.0.1", port))
            with upstream:
                if received.line.startswith("CONNECT "):
                    connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    _pipe(connection.sock, upstream)
                    return
                upstream.sendall(b"GET / HTTP/1.1\r\nhost: forwarded\r\n\r\n")
                answer = upstream.recv(65536)
            connection.send(answer)

    return serve


def socks_proxy_to(port: int, user: bytes = b"", password: bytes = b"") -> Callable[[Connection], None]:
    """Return a SOCKS5 proxy (RFC 1928, RFC 1929) that takes every host for this machine's `port`."""
    method = b"\x02" if user else b"\x00"

    def serve(connection: Connection) -> None:
        sock = connection.sock
        methods = sock.recv(2 + 255)[2:]
        if method not in methods:
            sock.sendall(b"\x05\xff")
            return
        sock.sendall(b"\x05" + method)
        if user:
            asked = sock.recv(513)
            is_known = asked == b"\x01%c%b%c%b" % (len(user), user, len(password), password)
            sock.sendall(b"\x01\x00" if is_known else b"\x01\x01")
            if not is_known:
                return
        sock.recv(262)
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            sock.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            _pipe(sock, upstream)

    return serve


def _pipe(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=copy, args=(other, one))
    back.start()
    copy(one, other)
    back.join()


@contextlib.contextmanager
def serving(serve: Callable[[Connection], object], **settings: Any) -> Generator[Server, None, None]:
    """Run a `Server` for the time of a `with` block."""
    with Server(serve, **settings) as server:
        yield server
