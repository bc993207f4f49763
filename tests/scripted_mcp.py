"""A scripted MCP server over HTTP on a loopback socket: well behaved, but for what a test tells it to do.

    def hang(post):
        post.connection.wait_for_close()

    with scripted_mcp({"tools/call": hang}) as server:
        ... server.url ...

A behaviour is a function of a `Post`, by the method it is for; "GET" and "DELETE" are such names too.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from loopback import Connection, Received, Server, serving

ADD = {
    "name": "add",
    "description": "Add two numbers.",
    "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}
MODERN = "2026-07-28"


@dataclass
class Post:
    """One request that has come, and how to answer it."""

    connection: Connection
    received: Received
    message: dict[str, Any]

    @property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = self.message.get("params", {})
        return params

    def answer(self, result: Any, **headers: str) -> None:
        self.send({"jsonrpc": "2.0", "id": self.message["id"], "result": result}, **headers)

    def text(self, text: str) -> None:
        """Answer as a tool does."""
        self.answer({"content": [{"type": "text", "text": text}]})

    def error(self, code: int, text: str = "no", status: str = "200 OK", data: Any = None, **changes: Any) -> None:
        error = {"code": code, "message": text, **({} if data is None else {"data": data})}
        self.send({"jsonrpc": "2.0", "id": self.message.get("id"), "error": error, **changes}, status)

    def send(self, message: Any, status: str = "200 OK", **headers: str) -> None:
        """Send a JSON body."""
        self.connection.answer(json.dumps(message).encode(), status, content_type="application/json", **headers)

    def result_event(self, text: str = "done", event_id: str | None = None) -> None:
        """Send a tool's result as an event of a stream that was begun."""
        result = {"content": [{"type": "text", "text": text}]}
        self.event({"jsonrpc": "2.0", "id": self.message["id"], "result": result}, event_id)

    def event(self, message: Any, event_id: str | None = None) -> None:
        rows = [f"id: {event_id}"] if event_id is not None else []
        rows.append("data: " + (json.dumps(message) if message is not None else ""))
        self.connection.send_chunk(("\n".join(rows) + "\n\n").encode())

    def end(self) -> None:
        """End a stream that was begun."""
        self.connection.send_chunk(b"")


Behaviour = Callable[[Post], object]


@dataclass
class ScriptedMcp:
    """What the server was asked, and where it is.

    Attributes:
        posts: the messages that came, in their order.
        sessions: how many sessions have been begun.
    """

    url: str = ""
    posts: list[dict[str, Any]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    sessions: int = 0
    server: Server | None = None
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def count(self, method: str) -> int:
        return sum(message.get("method") == method for message in self.posts)

    def wait_for(self, method: str, seconds: float = 5.0) -> bool:
        """Wait until a message of that method has come."""
        with self.arrived:
            return self.arrived.wait_for(lambda: self.count(method) > 0, seconds)

    def last(self, method: str) -> dict[str, Any]:
        return next(message for message in reversed(self.posts) if message.get("method") == method)

    def headers_of(self, method: str) -> dict[str, str]:
        """Return the headers of the last request of a method, or of an HTTP method."""
        return next(
            received.headers
            for received, message in zip(reversed(self.received), reversed(self.posts), strict=True)
            if message.get("method") == method
        )


@contextlib.contextmanager
def scripted_mcp(
    behaviours: Mapping[str, Behaviour] | None = None, *, modern: bool = False, session: bool = True, **settings: Any
) -> Generator[ScriptedMcp, None, None]:
    """Run a server for the time of a `with` block.

    Args:
        modern: whether it speaks revision 2026-07-28, else 2025-11-25.
        session: whether it has sessions.
    """
    known = dict(behaviours or {})
    host = ScriptedMcp()
    sessions: set[str] = set()

    def default(post: Post) -> None:
        method, connection = post.message.get("method", ""), post.connection
        if method in ("GET", "DELETE"):
            connection.answer(b"", "405 Method Not Allowed")
        elif "id" not in post.message or "method" not in post.message:
            connection.answer(b"", "202 Accepted")
        elif method == "server/discover" and modern:
            post.answer({"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "resultType": "complete"})
        elif method == "initialize" and not modern:
            headers = {}
            if session:
                host.sessions += 1
                headers["mcp_session_id"] = f"session-{host.sessions}"
                sessions.add(f"session-{host.sessions}")
            version = post.params["protocolVersion"]
            capabilities = {"tools": {"listChanged": True}}
            info = {"name": "scripted", "version": "1"}
            post.answer({"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}, **headers)
        elif method == "tools/list":
            post.answer({"tools": [ADD], "resultType": "complete"} if modern else {"tools": [ADD]})
        elif method == "tools/call":
            given = post.params["arguments"]
            post.answer({"content": [{"type": "text", "text": str(given["a"] + given["b"])}], "resultType": "complete"})
        elif method == "ping":
            post.answer({})
        else:
            post.error(-32601, "unknown method", "404 Not Found" if modern else "200 OK")

    def serve(connection: Connection) -> None:
        while (received := connection.request()) is not None:
            method = received.line.split()[0]
            message = json.loads(received.body) if received.body else {"method": method}
            with host.arrived:
                host.posts.append(message)
                host.received.append(received)
                host.arrived.notify_all()
            known.get(message.get("method", ""), default)(Post(connection, received, message))

    with serving(serve, **settings) as server:
        host.server = server
        host.url = f"{server.url}/mcp"
        yield host


def default_answer(post: Post) -> None:
    """Answer `tools/call` as the server does by itself."""
    post.text(str(post.params["arguments"]["a"] + post.params["arguments"]["b"]))
