"""The server of a host that answers badly: what comes over its connections, and what goes wrong there."""

from __future__ import annotations

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

from ..pipeline.api.wire import loads
from ..pipeline.http import HttpRequest
from ..providers.scripted import ScriptedExchange

if TYPE_CHECKING:
    from .fault_host import Fault, FaultHost


class FaultServer(ThreadingHTTPServer):
    """A server on a free port of this machine; the host says what it answers."""

    daemon_threads = True

    def __init__(self, host: FaultHost) -> None:
        self.host = host
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def add(self, connection: socket.socket) -> None:
        """Note an open connection."""
        with self._lock:
            self._open.add(connection)

    def discard(self, connection: socket.socket) -> None:
        """Forget a connection that has ended."""
        with self._lock:
            self._open.discard(connection)

    def cut_open(self) -> None:
        """Cut the connections that are open."""
        with self._lock:
            for connection in self._open:
                _cut(connection, reset=False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _server(self) -> FaultServer:
        return cast(FaultServer, self.server)

    def setup(self) -> None:
        super().setup()
        self._server.add(self.connection)

    def finish(self) -> None:
        self._server.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the caller has left, or the host is being closed
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
        streamed = body is not None and loads(body).get("stream") is True
        fault, answer = self._server.host.next(HttpRequest(self.command, self.path, body=body, streamed=streamed))
        self._server.host.wait(fault.delay_s)
        if answer is None or (fault.reset and fault.cut_after is None):
            self._cut(fault)
            return
        self._answer(fault, answer)

    do_GET = do_DELETE = do_POST

    def _answer(self, fault: Fault, answer: ScriptedExchange) -> None:
        is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
        pieces, is_cut = _damaged(b"".join(answer.pieces()), fault, is_stream=is_stream)
        self.send_response(answer.status)
        more = {name.lower(): value for name, value in fault.headers.items()}
        for name, value in {**answer.headers, **more}.items():
            self.send_header(name, value)
        if is_stream or is_cut:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(sum(map(len, pieces))))
        self.end_headers()
        self._server.host.wait(fault.first_byte_s)
        for at, piece in enumerate(pieces):
            self._server.host.wait(fault.pause_s if at else 0.0)
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_stream or is_cut else piece)
        if is_cut:
            self._cut(fault)
        elif is_stream:
            self.wfile.write(b"0\r\n\r\n")

    def _cut(self, fault: Fault) -> None:
        self.close_connection = True
        self.wfile.flush()
        _cut(self.connection, reset=fault.reset)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a test's output is its own."""


def _damaged(body: bytes, fault: Fault, *, is_stream: bool) -> tuple[list[bytes], bool]:
    """Return the pieces of a body that are sent, events of a stream one by one, and whether the connection is cut."""
    if is_stream:
        units, garbage = [event + b"\n\n" for event in body.split(b"\n\n") if event], b"event: x\ndata: {garbage\n\n"
    else:
        units, garbage = [body[at : at + 1] for at in range(len(body))], b'"}]garbage'
    if fault.garbage_after is not None:
        units.insert(fault.garbage_after, garbage)
    if fault.cut_after is not None:
        units = units[: fault.cut_after]
    return (units if is_stream else [b"".join(units)] if units else []), fault.cut_after is not None


def _cut(connection: socket.socket, *, reset: bool) -> None:
    with contextlib.suppress(OSError):
        if reset:  # closing with data unread, or with a linger time of zero, is a reset (socket(7), SO_LINGER)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            connection.close()
        else:
            connection.shutdown(socket.SHUT_RDWR)
