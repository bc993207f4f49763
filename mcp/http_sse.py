"""HTTP+SSE, the transport of revision 2024-11-05: all answers come over one event stream, requests are POSTs.

The stream's first event, `endpoint`, says where to POST. It is read in the background, since nothing else can wait for
all answers at once. Source: MCP specification 2024-11-05, Transports › HTTP with SSE, read 2026-08.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ..pipeline.errors import AntiphonError, message_of
from ..pipeline.network.address import parse_url
from .endpoint import NO_LIMIT, Endpoint, Headers
from .errors import McpError, McpProtocolError
from .http_answer import Cursor
from .negotiation import Agreement
from .session import Call, Limit, Session, died, timed_out
from .streamable_http import React

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from ..pipeline.runtimes.tasks import Task
    from .server import McpServer

log = logging.getLogger("antiphon.mcp")

_JSON = ("content-type", "application/json")
_TELL_S = 10.0
_ABOUT = "its event stream"


class HttpSse:
    """One server over HTTP+SSE. Callable from all tasks of its event loop, or all threads.

    Attributes:
        agreement: what was negotiated; None before.
        version: the revision for the header, as soon as it is agreed upon.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime, session: Session, react: React) -> None:
        self._name = name
        self._server = server
        self._runtime = runtime
        self._session = session
        self._react = react
        self._endpoint = Endpoint(name, server, runtime)
        self._reader: Task | None = None
        self._post_url: str | None = None
        self._error: AntiphonError | None = None
        self.agreement: Agreement | None = None
        self.version: str | None = None

    @property
    def is_open(self) -> bool:
        return self._reader is not None and not self._reader.is_done and self._post_url is not None

    @property
    def hears_changes(self) -> bool:
        return True

    async def start(self) -> None:
        """Open the stream, and wait until it says where to send.

        Raises:
            McpError: there is no such stream.
            McpAddressRefused: the address may not be connected to.
        """
        self.shut()
        await self._endpoint.check()
        self._post_url = self._error = self.version = None
        opened = self._runtime.event()
        self._reader = self._runtime.spawn(lambda: self._read(opened.set), "mcp-sse")
        seconds = self._server.timeout_s
        try:
            if not await opened.wait(seconds):
                raise timed_out(self._name, _ABOUT, Limit(0.0, seconds))
            if self._error is not None:
                raise self._error
        except BaseException:
            self.shut()
            raise

    async def exchange(self, call: Call, message: bytes, headers: Headers, limit: Limit) -> None:
        """Send a request and wait until it is settled. Raises McpError."""
        await self._post(message, headers, call.method, limit)
        event = self._runtime.event()
        if call.wake_by(event.set) and not await event.wait(max(limit.ends_at - self._runtime.now(), 0.0)):
            raise timed_out(self._name, call.method, limit)

    async def tell(self, message: bytes) -> None:
        """Send a notification or a response. Raises McpError."""
        await self._post(message, (), "a notification", Limit(self._runtime.now() + _TELL_S, _TELL_S))

    def abandon(self, call: Call, message: bytes) -> None:
        """Tell the server that nobody waits for a request any more."""
        self._runtime.spawn(lambda: self._tell_quietly(message), "mcp-cancel")

    async def poll(self) -> None:
        """The stream is read as it comes."""

    async def listen(self) -> None:
        """The stream is open all the time."""

    async def close(self) -> None:
        """Close the stream; that ends the session."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await reader.wait()

    def shut(self) -> None:
        """Close the stream; from any thread, without waiting."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()

    async def _post(self, message: bytes, headers: Headers, about: str, limit: Limit) -> None:
        if self._post_url is None:
            raise died(self._name, about, "closed its stream")
        version = self.version if self.agreement is None else self.agreement.version
        own = () if version is None else (("mcp-protocol-version", version),)
        answer = await self._endpoint.open(
            "POST", (_JSON, *own, *headers), message, limit, about=about, url=self._post_url
        )
        if not answer.is_success:
            raise answer.refused(await answer.error_body())
        await answer.read()  # usually "Accepted"

    async def _tell_quietly(self, message: bytes) -> None:
        try:
            await self.tell(message)
        except McpError as error:
            log.debug("server %s: %s", self._name, message_of(error))

    async def _read(self, tell_opened: Callable[[], object]) -> None:
        async def take(name: str, data: bytes) -> bool:
            if name == "endpoint":
                self._post_url = self._resolved(data.decode("utf-8", "replace").strip())
                tell_opened()
            elif name in ("", "message"):
                try:
                    for todo in self._session.receive(data):
                        await self._react(todo)
                except McpError as error:
                    log.debug("on the stream of server %s: %s", self._name, message_of(error))
            return False

        try:
            answer = await self._endpoint.open("GET", [("accept", "text/event-stream")], None, NO_LIMIT, about=_ABOUT)
            if answer.status != 200 or not answer.is_event_stream:
                raise answer.refused(await answer.error_body())
            await answer.read_events(Cursor(), take)
            self._error = died(self._name, _ABOUT, "ended its stream")
        except AntiphonError as error:
            self._error = error
        finally:
            self._post_url = None
            self._session.fail_all(lambda method: died(self._name, method, "closed its stream"))
            tell_opened()

    def _resolved(self, reference: str) -> str:
        url = urljoin(self._endpoint.url, reference)
        if parse_url(url).key != parse_url(self._endpoint.url).key:
            raise McpProtocolError(
                f'server "{self._name}" wants its messages at {parse_url(url).where}, another origin',
                server=self._name,
                method=_ABOUT,
                hint="that is refused, since credentials would go there too; use that address itself, if you trust it",
            )
        return url
