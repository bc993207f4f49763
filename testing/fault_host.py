"""A host that answers badly: a real server on this machine, so that faults come through the real transport."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..client import Client
from ..pipeline.chain import Chain
from ..pipeline.errors import APIConnectionError, SetupError
from ..pipeline.http import HttpRequest
from ..pipeline.wire import loads
from ..providers.scripted import Answer, ScriptedExchange, ScriptedHost
from ..stages import presets

if TYPE_CHECKING:
    import socket


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, and what goes wrong with it. Without a fault it is the answer.

    Args:
        answer: what would be said, as in `scripted`.
        headers: further headers of the answer, e.g. those of rate limits.
        delay_s: before the head of the answer, seconds.
        first_byte_s: between the head and the first byte of the body, seconds.
        pause_s: before every further event of a stream, seconds.
        garbage_after: so many whole events are sent, then one that is no JSON; of a plain answer so many bytes, then
            bytes that are no JSON. What follows is sent as it is.
        cut_after: so many whole events (of a plain answer: bytes) are sent, then the connection is cut. 0 cuts after
            the head.
        reset: cut by a reset of the connection, where `cut_after` says so; without it, before the head.
    """

    answer: Answer = "Hello there."
    headers: Mapping[str, str] = {}
    delay_s: float = 0.0
    first_byte_s: float = 0.0
    pause_s: float = 0.0
    garbage_after: int | None = None
    cut_after: int | None = None
    reset: bool = False


def http_error(
    status: int,
    message: str = "",
    *,
    code: str | None = None,
    retry_after_s: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a scripted answer with an error status, in the form of OpenAI's errors.

    Args:
        status: e.g. 429.
        message, code: of the error; a text that names the status where none is given.
        retry_after_s: seconds, sent as `retry-after-ms`.
        headers: further ones, e.g. {"x-ratelimit-remaining-requests": "0"}.
    """
    wait = {} if retry_after_s is None else {"retry-after-ms": f"{retry_after_s * 1000:g}"}
    error = {"message": message or f"scripted error {status}", "type": "scripted", "code": code, "param": None}
    return {"status": status, "headers": {**wait, **(headers or {})}, "body": {"error": error}}


class FaultHost:
    """A server on 127.0.0.1 that answers by a script, in turn; the last answer repeats. Close it.

    Args:
        steps: scripted answers, and `Fault`s.

    Attributes:
        url: its address with "/v1".
        requests: the JSON bodies of the requests that came, in order.
    """

    def __init__(self, *steps: Answer | Fault) -> None:
        from http.server import ThreadingHTTPServer

        if not steps:
            raise SetupError("a faulty host needs at least one answer", hint='faulty(Fault(cut_after=2), "Hello")')
        self._faults = [step if isinstance(step, Fault) else Fault(answer=step) for step in steps]
        self._script = ScriptedHost([fault.answer for fault in self._faults])
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._errors: list[Exception] = []  # of functions that were to answer
        self._open: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self.requests: list[dict[str, Any]] = []
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="antiphon-fault-host", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering, cut what is open, end its threads. Idempotent.

        Raises:
            Exception: what a function of the script raised while it was asked, unless it is a connection's error.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                _cut(connection, reset=False)
        if self._errors:
            raise self._errors[0]

    def next(self, request: HttpRequest) -> tuple[Fault, ScriptedExchange | None]:
        """Return whose turn it is, and its answer; None for one that is an exception."""
        with self._lock:
            fault = self._faults[min(len(self.requests), len(self._faults) - 1)]
            self.requests.append(loads(request.body or b"{}"))
            try:
                return fault, self._script.answer(request)
            except Exception as error:
                if not isinstance(error, APIConnectionError | OSError) and error is not fault.answer:
                    self._errors.append(error)
                return fault, None

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        if seconds:
            self._closing.wait(seconds)

    def add(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def discard(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)


def _handler(host: FaultHost) -> type[Any]:
    """Return the class that serves one connection for a host."""
    from http.server import BaseHTTPRequestHandler

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            host.add(self.connection)

        def finish(self) -> None:
            host.discard(self.connection)
            with contextlib.suppress(OSError):
                super().finish()

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the caller has left, or the host is being closed
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)) or None
            streamed = body is not None and loads(body).get("stream") is True
            fault, answer = host.next(HttpRequest(self.command, self.path, body=body, streamed=streamed))
            host.wait(fault.delay_s)
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
            host.wait(fault.first_byte_s)
            for at, piece in enumerate(pieces):
                host.wait(fault.pause_s if at else 0.0)
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

    return Handler


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
    import socket

    with contextlib.suppress(OSError):
        if reset:  # closing with data unread, or with a linger time of zero, is a reset (socket(7), SO_LINGER)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            connection.close()
        else:
            connection.shutdown(socket.SHUT_RDWR)


class FaultyClient(Client):
    """A client that asks a `FaultHost`, and closes it with itself. Make it with `faulty`."""

    def __init__(self, host: FaultHost, chain: Chain, **settings: Any) -> None:
        given = {"api_key": "scripted", "dialect": "responses", "api_base": host.url}
        bound = {name: value for name, value in given.items() if name in chain.options}
        settings.setdefault("proxy", None)  # which would not reach this machine
        super().__init__(chain.bind(**bound), **settings)
        self.host = host

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The JSON bodies of the requests that came, in order."""
        return self.host.requests

    def close(self) -> None:
        super().close()
        self.host.close()

    async def aclose(self) -> None:
        await super().aclose()
        await self.engine.runtime(is_async=True).call(self.host.close)


def faulty(*steps: Answer | Fault, chain: Chain = presets.responses, **settings: Any) -> FaultyClient:
    """Return a client whose host, a server on this machine, answers badly: over a real connection, in turn.

        with faulty(http_error(429, retry_after_s=0.01), Fault(cut_after=3), "At last.") as client:
            client.responses("Hi", "openai/gpt-5", stream=True)

    The last answer repeats. Like `scripted` it speaks the Responses API whatever the model, and needs no key.

    Args:
        steps: scripted answers, and `Fault`s.
        chain: what the calls go through.
        settings: of `antiphon.Client`.
    """
    return FaultyClient(FaultHost(*steps), chain, **settings)
