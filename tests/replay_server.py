"""A loopback server that answers as recorded: the same status, headers and bytes, request after request.

with replaying(Answer(200, {"content-type": "application/json"}, b"{}")) as server:
    ... server.url, server.requests ...
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from loopback import Connection, Received, Server
from recordings import Recording

# These the server sets by itself; a recording holds the body with its coding undone.
_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive"})


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        body: the exact bytes; event streams are sent in chunks, everything else with its length.
        cuts: byte positions at which the body of a chunked answer is divided into chunks, rising.
        delay_s: pause before each chunk but the first.
        chunked: None decides by the content type.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cuts: tuple[int, ...] = ()
    delay_s: float = 0.0
    chunked: bool | None = None

    @classmethod
    def of(cls, recording: Recording, **settings: Any) -> Answer:
        """Return the answer of a recording."""
        return cls(recording.status, recording.headers, recording.body, **settings)

    @classmethod
    def stream(cls, body: bytes, headers: dict[str, str] | None = None, **settings: Any) -> Answer:
        """Return an event stream with status 200."""
        return cls(200, {"content-type": "text/event-stream", **(headers or {})}, body, **settings)

    @classmethod
    def json(cls, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
        """Return a JSON answer."""
        return cls(status, {"content-type": "application/json", **(headers or {})}, body)

    @property
    def is_chunked(self) -> bool:
        named = {name.lower(): value for name, value in self.headers.items()}
        return "event-stream" in named.get("content-type", "") if self.chunked is None else self.chunked

    def send(self, connection: Connection) -> None:
        """Send it all."""
        rows = [f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in _FRAMING]
        rows.append("transfer-encoding: chunked" if self.is_chunked else f"content-length: {len(self.body)}")
        head = "\r\n".join([f"HTTP/1.1 {self.status} As recorded", *rows, "", ""]).encode("latin-1")
        if not self.is_chunked:
            connection.send(head + self.body)
            return
        connection.send(head)
        bounds = [0, *self.cuts, len(self.body)]
        for start, end in pairwise(bounds):
            if start and self.delay_s:
                time.sleep(self.delay_s)
            if end > start:
                connection.send_chunk(self.body[start:end])
        connection.send_chunk(b"")


class _Replay:
    def __init__(self, answers: tuple[Answer, ...]) -> None:
        self._answers = answers
        self._served = 0
        self._lock = threading.Lock()

    def __call__(self, connection: Connection) -> None:
        while connection.request() is not None:
            self._next().send(connection)

    def _next(self) -> Answer:
        with self._lock:
            self._served += 1
            return self._answers[min(self._served, len(self._answers)) - 1]


@contextmanager
def replaying(*answers: Answer) -> Generator[Server, None, None]:
    """Run a server that gives these answers in turn; the last one repeats. `server.requests` is what it was sent."""
    with Server(_Replay(answers)) as server:
        yield server


def path_of(received: Received) -> str:
    """Return the path of a request that the server got."""
    return received.line.split(" ")[1]
