"""A server on this machine that answers from recorded exchanges, for programs that take an address."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from ..pipeline.api.wire import encode
from ..pipeline.cassette import Cassette, Recorded, bytes_of, read_cassette
from ..pipeline.errors import CassetteMiss
from ..pipeline.http import HttpRequest
from . import terminal

# Of the connection, not of the answer; chunks are stored decoded.
_NOT_SENT = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive", "date"})


def serve(path: Path, port: int, ignore: tuple[str, ...]) -> int:
    """Answer until Ctrl-C. What is asked has to have the path and the JSON body of an exchange that is left.

    Raises:
        OSError: the port is taken.
    """
    with ReplayServer(path, port, ignore) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
    return 0


class ReplayServer(ThreadingHTTPServer):
    """Answers from a cassette, whatever host its exchanges were recorded at."""

    daemon_threads = True

    def __init__(self, path: Path, port: int, ignore: tuple[str, ...]) -> None:
        self.cassette = Cassette(path, ignore)
        self.hosts = list(dict.fromkeys(_host(exchange.url) for exchange in read_cassette(path)))
        super().__init__(("127.0.0.1", port), _Handler)

    def take(self, method: str, path: str, body: bytes | None) -> Recorded:
        """Return the exchange that answers.

        Raises:
            CassetteMiss: there is none left.
        """
        missed: CassetteMiss | None = None
        for host in self.hosts:
            try:
                return self.cassette.take(HttpRequest(method=method, url=f"{host}{path}", headers=(), body=body))
            except CassetteMiss as error:
                missed = missed or error
        raise missed or CassetteMiss("nothing was recorded")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else None
        try:
            exchange = cast(ReplayServer, self.server).take(self.command, self.path, body)
        except CassetteMiss as error:
            self._send(404, {"content-type": "application/json"}, [encode({"error": {"message": error.message}})])
            return
        if not exchange.status:  # nobody answered then, and nobody does now
            self.close_connection = True
            return
        chunks = [bytes_of(chunk) for chunk in exchange.chunks]
        self._send(exchange.status, exchange.answer_headers, chunks, is_whole=not exchange.error)

    do_GET = do_POST = do_DELETE = _answer

    def _send(self, status: int, headers: dict[str, str], chunks: list[bytes], *, is_whole: bool = True) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _NOT_SENT:
                self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        for chunk in filter(None, chunks):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if is_whole:  # else the reader sees an answer that breaks off, as it did then
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        terminal.note(f"{self.command} {self.path} → {args[1] if len(args) > 1 else ''}")


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
