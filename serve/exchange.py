"""One HTTP request of an ASGI server, and the answer to it.

Source: ASGI specification 3.0, HTTP connection scope 2.5, read from memory 2026-11; tried with uvicorn 0.54.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from ..pipeline.http import Headers
from .refusal import Refused

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Pairs: TypeAlias = Iterable[tuple[str, str]]


class Gone(Exception):
    """The client has left."""


class Exchange:
    """A request and what is sent back. One task sends at a time.

    Args:
        id: of the request; every answer bears it as `x-request-id`.

    Attributes:
        has_begun: the head of the answer is sent.
        is_over: the last byte of the answer is on its way, or will not come.
    """

    __slots__ = ("_receive", "_scope", "_send", "has_begun", "headers", "id", "is_over", "method", "path")

    def __init__(self, scope: Scope, receive: Receive, send: Send, id: str) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self.id = id
        self.method: str = scope["method"]
        self.path = _path_of(scope)
        self.headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        self.has_begun = self.is_over = False

    @property
    def query(self) -> str:
        """What stands behind the question mark."""
        return bytes(self._scope.get("query_string", b"")).decode("latin-1")

    @property
    def peer(self) -> str | None:
        """The address that the request comes from; None where the server does not know, as on a Unix socket."""
        client = self._scope.get("client")
        return client[0] if client else None

    async def body(self, most: int) -> bytes:
        """Read the body.

        Raises:
            Refused: it is longer than `most` bytes.
            Gone: the client has left.
        """
        length = self.headers.get("content-length") or ""
        if length.isascii() and length.isdigit() and int(length) > most:
            raise _too_long(most)
        parts: list[bytes] = []
        have = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            part = message.get("body", b"")
            have += len(part)
            if have > most:
                raise _too_long(most)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    async def until_gone(self) -> None:
        """Wait until the client leaves."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def begin(self, status: int, headers: Pairs) -> None:
        """Send the head. Raises Gone, as all that sends."""
        self.has_begun = True
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        pairs.append((b"x-request-id", self.id.encode("latin-1")))
        await self._put({"type": "http.response.start", "status": status, "headers": pairs})

    async def send(self, data: bytes) -> None:
        """Send more of the body; the server makes this wait while the client is slow to read."""
        await self._put({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        """Send the last of the body."""
        self.is_over = True
        await self._put({"type": "http.response.body", "body": data, "more_body": False})

    async def answer(self, status: int, body: bytes, headers: Pairs = ()) -> None:
        """Send a whole answer of JSON."""
        length = ("content-length", str(len(body)))
        await self.begin(status, [("content-type", "application/json"), length, *headers])
        await self.end(body)

    async def _put(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as error:
            raise Gone from error


def _path_of(scope: Scope) -> str:
    """Return the path below where the app is mounted, without the API's `/v1`."""
    path: str = scope["path"]
    root = str(scope.get("root_path", "")).rstrip("/")
    if root and path.startswith(f"{root}/"):
        path = path[len(root) :]
    return path[3:] if path.startswith("/v1/") else path


def _too_long(most: int) -> Refused:
    return Refused(413, f"the body is longer than {most:,} bytes", code="request_too_large")
