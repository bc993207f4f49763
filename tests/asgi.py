"""An ASGI server in this process, for tests of apps: one request at a time as values, on asyncio or trio."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import anyio

App = Callable[..., Any]


@dataclass
class Answered:
    """What an app has sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    is_whole: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The API's error."""
        found: dict[str, Any] = self.json["error"]
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of the events, which bear the names of their types."""
        found: list[dict[str, Any]] = []
        for frame in self.body.decode().split("\n\n"):
            lines = frame.split("\n")
            if frame and not frame.startswith(":"):
                data = json.loads("\n".join(line.removeprefix("data: ") for line in lines[1:]))
                assert lines[0] == f"event: {data['type']}"
                found.append(data)
        return found


class Visit:
    """One request of a client that may be slow, and may leave.

    Args:
        on_part: called with each part of the body when it is sent; the app goes on when it has returned.
    """

    def __init__(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        chunks: Iterable[bytes] | None = None,
        on_part: Callable[[Visit, bytes], Any] | None = None,
        **scope: Any,
    ) -> None:
        path, _, query = target.partition("?")
        given = dict(headers)
        if body is not None:
            given.setdefault("content-type", "application/json")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self._chunks = [data] if chunks is None else list(chunks)
        self.answer = Answered()
        self._on_part = on_part
        self._left = anyio.Event()
        self._is_sending = False
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()],
            "client": ("127.0.0.1", 50000),
            **scope,
        }

    def leave(self) -> None:
        """Break the connection."""
        self._left.set()

    async def receive(self) -> MutableMapping[str, Any]:
        if self._chunks and not self._left.is_set():
            body = self._chunks.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._chunks)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        assert not self._is_sending, "two tasks send at once, which servers do not promise to bear"
        self._is_sending = True
        await anyio.lowlevel.checkpoint()
        await self._take(message)
        self._is_sending = False

    async def _take(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert not self.answer.status
            self.answer.status = message["status"]
            self.answer.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            return
        assert self.answer.status
        assert not self.answer.is_whole
        self.answer.parts.append(message["body"])
        self.answer.is_whole = not message["more_body"]
        if self.answer.is_whole:
            self.leave()  # what a server says when the answer is complete
        if self._on_part is not None:
            found = self._on_part(self, message["body"])
            if found is not None:
                await found


async def ask(app: App, method: str, target: str, body: Any = None, **settings: Any) -> Answered:
    """Make one request, and return its answer."""
    visit = Visit(method, target, body, **settings)
    await app(visit.scope, visit.receive, visit.send)
    return visit.answer


async def live(app: App, *messages: str) -> list[str]:
    """Run the app's lifespan through these messages, e.g. "startup"; return what it says."""
    waiting = [f"lifespan.{name}" for name in messages]
    said: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": waiting.pop(0)}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    return said
