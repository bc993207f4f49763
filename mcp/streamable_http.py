"""Streamable HTTP: every message of ours is a POST to one address, whose answer is JSON or an event stream.

Revisions up to 2025-11-25 may have a session, may end a stream before its answer, which is then fetched with GET from
where it was left, and may keep a stream of their own open, over which a server asks and tells at any time. Revision
2026-07-28 has none of these. Source: MCP specification 2025-03-26 to 2026-07-28, Transports › Streamable HTTP, read
2026-08.

Each request reads its own stream, in its own task or thread. An answer that comes on another stream settles its call
through the session's table, and wakes the reader by shutting its stream.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ..pipeline.errors import message_of
from .endpoint import NO_LIMIT, Endpoint, Headers
from .errors import McpConnectionError, McpError, McpProtocolError
from .http_answer import Cursor, HttpAnswer
from .negotiation import Agreement
from .session import Ask, Call, Limit, Session, died, timed_out

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from ..pipeline.runtimes.tasks import Task
    from .server import McpServer

React = Callable[[bytes | Ask], Awaitable[None]]
"""Called for what `Session.receive` says has to be done."""

log = logging.getLogger("antiphon.mcp")

_ACCEPT = ("accept", "application/json, text/event-stream")
_JSON = ("content-type", "application/json")
_SESSION_ID = re.compile(r"[\x21-\x7e]{1,1024}")

_MOST_RESUMPTIONS = 5  # in a row that bring no event
_ELSEWHERE_S = 2.0  # how long an answer may come on the server's own stream after its request's has ended
_MOST_FAILURES = 5  # of the server's own stream, in a row
_LONGEST_RETRY_S = 60.0
_TELL_S = 10.0
_LISTEN_S = 5.0
_BYE_S = 2.0


class SessionLost(McpConnectionError):
    """The server has forgotten the session, and has not looked at the request."""

    def __init__(self, message: str, *, session_id: str = "", **facts: object) -> None:
        super().__init__(message, sent=False, **facts)
        self.session_id = session_id


class StreamableHttp:
    """One server over Streamable HTTP. Callable from all tasks of its event loop, or all threads.

    Attributes:
        agreement: what was negotiated; None before.
        version: the revision for the header, as soon as it is agreed upon.
        session_id: the server's, in revisions that have sessions.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime, session: Session, react: React) -> None:
        self._name = name
        self._runtime = runtime
        self._session = session
        self._react = react
        self._endpoint = Endpoint(name, server, runtime)
        self._listener: Task | None = None
        self.agreement: Agreement | None = None
        self.version: str | None = None
        self.session_id: str | None = None

    @property
    def is_open(self) -> bool:
        return True

    @property
    def hears_changes(self) -> bool:
        """Whether the server can tell us at any time that something has changed."""
        return self._listener is not None and not self._listener.is_done

    async def start(self) -> None:
        """Check the address; there is nothing to open."""
        self.version = self.session_id = None
        await self._endpoint.check()

    async def exchange(self, call: Call, message: bytes, headers: Headers, limit: Limit) -> None:
        """Send a request and read until it is settled.

        Raises:
            SessionLost: begin a new session, and send it again.
            McpError: no answer came.
        """
        session_id, modern = self.session_id, self._is_modern
        answer = await self._endpoint.open("POST", (*self._headers(), *headers), message, limit, about=call.method)
        try:
            if answer.status == 404 and session_id is not None:
                raise self._lost(session_id, answer.error_text(b""))
            if not answer.is_success:
                await self._refused(answer, call, session_id)
                return
            if call.method == "initialize":
                self._take_session_id(answer)
            if not answer.is_event_stream:
                await self._read_plain(answer, call, limit)
                return
            cursor = Cursor()
            await self._read_stream(answer, call, cursor, limit, resumable=not modern)
        finally:
            await answer.close()
        if not call.is_done and cursor.last_id is not None and not modern:
            await self._resume(call, cursor, limit)
        if not call.is_done:
            await self._elsewhere(call, limit)

    async def tell(self, message: bytes) -> None:
        """Send a notification or a response. Raises McpError."""
        about = "a notification"
        limit = Limit(self._runtime.now() + _TELL_S, _TELL_S)
        answer = await self._endpoint.open("POST", self._headers(), message, limit, about=about)
        try:
            if not answer.is_success:
                raise answer.refused(await answer.error_body())
            await answer.read()
        finally:
            await answer.close()

    def abandon(self, call: Call, message: bytes) -> None:
        """Give a request up that the server may be working on. In revision 2026-07-28 its closed stream says it."""
        if not self._is_modern:
            self._runtime.spawn(lambda: self._tell_quietly(message), "mcp-cancel")

    async def poll(self) -> None:
        """Nothing waits to be read between calls."""

    async def listen(self) -> None:
        """Keep the server's own stream open, in the background; return when it is, or the server has none.

        What a server asks before its stream is open gets lost.
        """
        if self._listener is None or self._listener.is_done:
            told = self._runtime.event()
            self._listener = self._runtime.spawn(lambda: self._listen(told.set), "mcp-listen")
            await told.wait(_LISTEN_S)

    async def close(self) -> None:
        """End the session. Nothing that goes wrong here is of any interest."""
        self.shut()
        session_id, self.session_id = self.session_id, None
        if session_id is None:
            return
        headers = (("mcp-session-id", session_id), *self._version_header())
        with contextlib.suppress(McpError):
            limit = Limit(self._runtime.now() + _BYE_S, _BYE_S)
            answer = await self._endpoint.open("DELETE", headers, None, limit, about="the end of the session")
            await answer.read()

    def shut(self) -> None:
        """Stop listening; from any thread, without waiting."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()

    @property
    def _is_modern(self) -> bool:
        return self.agreement is not None and self.agreement.is_modern

    def _headers(self) -> Headers:
        headers: list[tuple[str, str]] = [_ACCEPT, _JSON, *self._version_header()]
        if self.session_id is not None:
            headers.append(("mcp-session-id", self.session_id))
        return headers

    def _version_header(self) -> list[tuple[str, str]]:
        version = self.version if self.agreement is None else self.agreement.version
        return [] if version is None else [("mcp-protocol-version", version)]

    def _take_session_id(self, answer: HttpAnswer) -> None:
        session_id = answer.headers.get("mcp-session-id")
        self.session_id = session_id if session_id and _SESSION_ID.fullmatch(session_id) else None

    async def _take(self, data: bytes, asked: Call | None) -> None:
        for todo in self._session.receive(data, asked):
            await self._react(todo)

    def _lost(self, session_id: str, said: str) -> SessionLost:
        text = f'server "{self._name}" has forgotten the session ({said})'
        return SessionLost(text, session_id=session_id, server=self._name)

    async def _refused(self, answer: HttpAnswer, call: Call, session_id: str | None) -> None:
        """Settle the call by the JSON-RPC error in a refusal; raise the status where there is none."""
        body = await answer.error_body()
        if session_id is not None and answer.is_about_the_session(body):
            raise self._lost(session_id, answer.error_text(body))
        with contextlib.suppress(McpProtocolError):
            await self._take(body, call)
        if call.is_done:
            if isinstance(call.outcome, McpError):
                call.outcome.status = answer.status
            return
        raise answer.refused(body)

    async def _read_plain(self, answer: HttpAnswer, call: Call, limit: Limit) -> None:
        body = await answer.read()
        if body.strip():
            await self._take(body, call)
            if not call.is_done and answer.status != 202:
                raise McpProtocolError(
                    f'server "{self._name}" answered {call.method} with a message that is no answer to it',
                    server=self._name,
                    method=call.method,
                )
        if not call.is_done:
            await self._elsewhere(call, limit)

    async def _read_stream(
        self, answer: HttpAnswer, call: Call, cursor: Cursor, limit: Limit, *, resumable: bool
    ) -> None:
        """Read a stream until the call is settled, by it or by another one, or the stream ends."""

        async def take(name: str, data: bytes) -> bool:
            if name not in ("", "message"):
                return False
            call.wake_by(None)  # while we look at our own stream, nobody needs to shut it
            await self._take(data, call)
            return not call.wake_by(answer.abort)

        if not call.wake_by(answer.abort):
            return
        try:
            await answer.read_events(cursor, take)
        except McpConnectionError as error:
            if not call.is_done and (not resumable or cursor.last_id is None or self._runtime.now() >= limit.ends_at):
                raise error
        finally:
            call.wake_by(None)

    async def _resume(self, call: Call, cursor: Cursor, limit: Limit) -> None:
        failures = 0
        while not call.is_done and failures < _MOST_RESUMPTIONS:
            if await self._settled_within(call, cursor.retry_s, limit):
                return
            events = cursor.events
            assert cursor.last_id is not None
            headers = [*self._headers(), ("last-event-id", cursor.last_id)]
            answer = await self._endpoint.open("GET", headers, None, limit, about=call.method)
            try:
                if answer.status != 200 or not answer.is_event_stream:
                    raise answer.refused(await answer.error_body())
                await self._read_stream(answer, call, cursor, limit, resumable=True)
            finally:
                await answer.close()
            failures = 0 if cursor.events > events else failures + 1

    async def _elsewhere(self, call: Call, limit: Limit) -> None:
        """Wait a moment for an answer on the server's own stream; raise when there is none."""
        if self.hears_changes and await self._settled_within(call, _ELSEWHERE_S, limit):
            return
        if not call.is_done:
            raise died(self._name, call.method, "ended the answer")

    async def _settled_within(self, call: Call, seconds: float, limit: Limit) -> bool:
        left = limit.ends_at - self._runtime.now()
        event = self._runtime.event()
        if call.wake_by(event.set):
            await event.wait(max(min(seconds, left), 0.0))
            if call.wake_by(None) and seconds >= left:
                raise timed_out(self._name, call.method, limit)
        return call.is_done

    async def _tell_quietly(self, message: bytes) -> None:
        with contextlib.suppress(McpError):
            await self.tell(message)

    async def _listen(self, tell: Callable[[], object]) -> None:
        """Read the server's own stream, again and again; `tell` when it is open, or will not be."""
        try:
            await self._read_own_stream(tell)
        finally:
            tell()

    async def _read_own_stream(self, tell: Callable[[], object]) -> None:
        cursor, failures = Cursor(), 0

        async def take(name: str, data: bytes) -> bool:
            if name in ("", "message"):
                try:
                    await self._take(data, None)
                except McpError as error:
                    log.debug("on the stream of server %s: %s", self._name, message_of(error))
            return False

        while failures < _MOST_FAILURES:
            events = cursor.events
            headers = [("accept", "text/event-stream"), *self._headers()[2:]]
            if cursor.last_id is not None:
                headers.append(("last-event-id", cursor.last_id))
            try:
                answer = await self._endpoint.open("GET", headers, None, NO_LIMIT, about="its own stream")
                if answer.status != 200 or not answer.is_event_stream:
                    await answer.close()
                    return  # 405: it has none; 404: the session is over
                tell()
                await answer.read_events(cursor, take)
            except McpError as error:
                tell()
                log.debug("the stream of server %s broke: %s", self._name, message_of(error))
            failures = 0 if cursor.events > events else failures + 1
            await self._runtime.sleep(
                min(cursor.retry_s * 2**failures, _LONGEST_RETRY_S) if failures else cursor.retry_s
            )
