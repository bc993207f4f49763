"""The talk with one server: connecting, agreeing upon a revision, sending, and answering what the server asks."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from ..pipeline.errors import AntiphonError, InvalidParameter, message_of
from ..pipeline.version import __version__
from . import handlers, jsonrpc
from .endpoint import Headers
from .errors import McpConnectionError, McpError, McpProtocolError, McpTimeoutError
from .http_sse import HttpSse
from .negotiation import Agreement, Negotiation
from .server import LEGACY, MODERN
from .session import Ask, Call, Limit, OnProgress, Session, timed_out
from .stdio import Stdio
from .streamable_http import StreamableHttp

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..pipeline.runtimes.runtime import Event, Runtime
    from ..pipeline.runtimes.tasks import Task
    from .server import McpServer

log = logging.getLogger("antiphon.mcp")

# A server that is asked for what it does not know may keep silent; so long it may, before it is asked the older way.
_PROBE_S = 10.0
_META = "io.modelcontextprotocol/"

# Refusals that may mean: another server than we took it for.
_ELSE = (400, 404, 405)

Transport = StreamableHttp | HttpSse | Stdio


class _Start:
    """A connection that is being made, by one caller for all.

    Attributes:
        over: set when it is made, or failed.
        error: why it failed; None too when its caller was cancelled.
    """

    def __init__(self, over: Event) -> None:
        self.over = over
        self.error: AntiphonError | None = None


class Wire:
    """One server, its transport and its session. Connects when needed, and again when that was lost.

    Args:
        name: as registered.
        known: the revision that it spoke when it was last connected to.
        on_list_changed: called when the server says that its tools have changed. Must not wait.
    """

    def __init__(
        self,
        name: str,
        server: McpServer,
        runtime: Runtime,
        known: str | None,
        on_list_changed: Callable[[], object],
    ) -> None:
        self.name = name
        self._server = server
        self._runtime = runtime
        self._on_list_changed = on_list_changed
        self._session = Session(name, handlers.handled(server), self._notified)
        self._lock = threading.Lock()
        self._start: _Start | None = None
        self._asks: dict[jsonrpc.RequestId, Task] = {}
        self.listeners: list[Callable[[str, dict[str, Any]], object]] = []
        self.known = known
        self._transport = self._make_transport()

    @property
    def agreement(self) -> Agreement | None:
        """What was agreed upon; None as long as there is no connection."""
        return self._transport.agreement

    @property
    def is_modern_http(self) -> bool:
        """Whether requests repeat in headers what is in their bodies."""
        agreement = self.agreement
        return agreement is not None and agreement.is_modern and isinstance(self._transport, StreamableHttp)

    @property
    def hears_changes(self) -> bool:
        """Whether the server can tell us at any time that something has changed."""
        return self._transport.hears_changes

    async def ready(self, timeout_s: float | None) -> None:
        """Connect, and agree upon a revision, where that has not been done; one caller does it for all.

        Args:
            timeout_s: at most so long, and no longer than the server's `start_timeout_s`.

        Raises:
            McpError: it cannot be reached, or speaks no revision that we speak.
            McpAddressRefused: its address may not be connected to.
        """
        seconds = self._server.start_timeout_s if timeout_s is None else min(self._server.start_timeout_s, timeout_s)
        limit = Limit(self._runtime.now() + seconds, seconds)
        while not self._is_ready:
            with self._lock:
                start, leads = self._start, self._start is None
                if start is None:
                    start = self._start = _Start(self._runtime.event())
            if leads:
                await self._lead(start, limit)
                return
            if not await start.over.wait(max(limit.ends_at - self._runtime.now(), 0.0)):
                raise timed_out(self.name, "initialize", limit)
            if start.error is not None and not isinstance(start.error, McpTimeoutError):
                raise start.error  # whoever had less time than we have is no measure for us

    async def _lead(self, start: _Start, limit: Limit) -> None:
        try:
            await self._begin(limit)
        except BaseException as error:
            if isinstance(error, AntiphonError):
                start.error = error
            transport = self._transport
            transport.agreement = None
            if isinstance(transport, HttpSse):
                self._transport = self._make_transport()  # it was the way out; the next time begins at the front again
            await transport.close()
            raise
        finally:
            with self._lock:
                self._start = None
            start.over.set()

    async def send(
        self,
        method: str,
        params: dict[str, Any] | None,
        version: str,
        headers: Headers,
        limit: Limit,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Send one request and return its result. The server is told when nobody waits for it any more.

        Raises:
            McpError: no result came.
        """
        transport = self._transport
        call = self._session.begin(method, on_progress)
        try:
            try:
                message = jsonrpc.request(call.id, method, self._completed(params, call, version))
            except (TypeError, ValueError) as error:
                raise InvalidParameter(
                    f'the arguments of {method} for server "{self.name}" are no JSON: {error}', param="arguments"
                ) from error
            await transport.exchange(call, message, headers, limit)
            return call.result()
        except McpTimeoutError:
            self._abandon(call, "the time is up")
            raise
        except AntiphonError as error:
            if isinstance(error, McpProtocolError) and error.status in _ELSE:
                transport.agreement = None  # it may be another server by now; the next request finds out
            raise
        except BaseException:
            self._abandon(call, "nobody waits for it")
            raise
        finally:
            self._session.end(call)

    async def poll(self) -> None:
        """Take what the server has said since the last request, if anything waits to be read."""
        await self._transport.poll()

    def lose_session(self, session_id: str) -> None:
        """Have a new session begun in place of a lost one, unless somebody just did."""
        with self._lock:
            transport = self._transport
            if isinstance(transport, StreamableHttp) and transport.session_id == session_id:
                transport.agreement = transport.session_id = None
                transport.shut()

    async def close(self) -> None:
        """End the session, and the server if it was started here. Idempotent."""
        self._cancel_asks()
        try:
            await self._transport.close()
        finally:
            self._transport.agreement = None

    def shut(self) -> None:
        """As `close`, from any thread, and without waiting for an answer."""
        self._cancel_asks()
        self._transport.shut()

    def _make_transport(self) -> Transport:
        kind: type[StreamableHttp] | type[HttpSse] | type[Stdio] = StreamableHttp
        if self._server.command is not None:
            kind = Stdio
        elif self._server.transport == "sse":
            kind = HttpSse
        return kind(self.name, self._server, self._runtime, self._session, self._react)

    @property
    def _is_ready(self) -> bool:
        return self._transport.agreement is not None and self._transport.is_open

    async def _begin(self, limit: Limit) -> None:
        transport = self._transport
        transport.agreement = None
        await transport.start()
        protocol = self._server.protocol
        if isinstance(transport, HttpSse) and protocol == "auto":
            protocol = LEGACY[0]  # such servers are older than the question
        negotiation = Negotiation(self.name, protocol, self.known)
        while negotiation.agreement is None:
            try:
                result = await self._step(negotiation, limit)
            except McpError as error:
                if self._is_older_transport(error, negotiation):
                    self._transport = HttpSse(self.name, self._server, self._runtime, self._session, self._react)
                    try:
                        await self._begin(limit)
                    except McpProtocolError as other:  # it does not speak that either
                        raise error from other
                    return
                if self._died_of_the_question(error, negotiation):
                    await transport.start()
                    negotiation = Negotiation(self.name, self._server.protocol, LEGACY[0])
                else:
                    negotiation.failed(error)
            else:
                negotiation.answered(result)
        agreement = negotiation.agreement
        if not agreement.is_modern:
            transport.version = agreement.version
            await transport.tell(jsonrpc.notification("notifications/initialized"))
            listen = self._server.listen
            if listen or (listen is None and handlers.handled(self._server)):
                await transport.listen()
        self.known = agreement.version
        transport.agreement = agreement

    async def _step(self, negotiation: Negotiation, limit: Limit) -> dict[str, Any]:
        if negotiation.step == "discover":
            left = limit.ends_at - self._runtime.now()
            seconds = min(_PROBE_S, left / 2) if self._server.protocol == "auto" else left
            headers = [("mcp-protocol-version", negotiation.version), ("mcp-method", "server/discover")]
            probe = Limit(self._runtime.now() + seconds, seconds)
            return await self.send("server/discover", None, negotiation.version, headers, probe)
        params = {
            "protocolVersion": negotiation.version,
            "capabilities": handlers.capabilities(self._server),
            "clientInfo": _client_info(),
        }
        return await self.send("initialize", params, negotiation.version, (), limit)

    def _is_older_transport(self, error: McpError, negotiation: Negotiation) -> bool:
        """Tell whether a refused `initialize` means that the server may speak HTTP+SSE."""
        return (
            isinstance(self._transport, StreamableHttp)
            and self._server.transport == "auto"
            and negotiation.step == "initialize"
            and isinstance(error, McpProtocolError)
            and error.status in _ELSE
        )

    def _died_of_the_question(self, error: McpError, negotiation: Negotiation) -> bool:
        """Tell whether a program ended because it was asked for what it does not know; some do."""
        return (
            isinstance(self._transport, Stdio)
            and self._server.protocol == "auto"
            and negotiation.step == "discover"
            and isinstance(error, McpConnectionError)
            and not isinstance(error, McpTimeoutError)
        )

    def _completed(self, params: dict[str, Any] | None, call: Call, version: str) -> dict[str, Any] | None:
        """Return the params with what the protocol wants in each."""
        meta: dict[str, Any] = {}
        if version == MODERN:
            meta[_META + "protocolVersion"] = version
            meta[_META + "clientInfo"] = _client_info()
            meta[_META + "clientCapabilities"] = handlers.capabilities(self._server)
            if self._server.on_log is not None:
                meta[_META + "logLevel"] = "info"
        if call.on_progress is not None:
            meta["progressToken"] = call.id
        if not meta:
            return params
        given = (params or {}).get("_meta") or {}
        return {**(params or {}), "_meta": {**given, **meta}}

    def _abandon(self, call: Call, reason: str) -> None:
        if not call.is_done and call.method != "initialize":
            params = {"requestId": call.id, "reason": reason}
            with contextlib.suppress(RuntimeError):  # the loop is ending; there is nobody to tell it
                self._transport.abandon(call, jsonrpc.notification("notifications/cancelled", params))

    async def _react(self, todo: bytes | Ask) -> None:
        if isinstance(todo, Ask):
            # Beside the reader: a user may take minutes, and others wait for what the same stream brings.
            task = self._asks[todo.id] = self._runtime.spawn(lambda: self._answer(todo), "mcp-ask")
            if task.is_done:
                self._asks.pop(todo.id, None)
            return
        try:
            await self._transport.tell(todo)
        except McpError as error:
            log.debug("an answer to server %s got lost: %s", self.name, message_of(error))

    async def _answer(self, ask: Ask) -> None:
        try:
            try:
                result = await handlers.answer(self._server, self._runtime, ask.method, ask.params)
                message = jsonrpc.response(ask.id, result)
            except Exception as error:
                log.warning("the handler of %s for server %s failed: %r", ask.method, self.name, error)
                message = jsonrpc.failure(ask.id, jsonrpc.INTERNAL_ERROR, "the client's handler failed")
            await self._react(message)
        finally:
            self._asks.pop(ask.id, None)

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        for listener in tuple(self.listeners):
            listener(method, params)
        if method == "notifications/tools/list_changed":
            self._on_list_changed()
        elif method == "notifications/message":
            if self._server.on_log is not None:
                self._server.on_log(params)
        elif method == "notifications/cancelled":
            request_id = params.get("requestId")
            task = self._asks.get(request_id) if isinstance(request_id, int | str) else None
            if task is not None:
                task.cancel()

    def _cancel_asks(self) -> None:
        for task in list(self._asks.values()):
            task.cancel()


def _client_info() -> dict[str, str]:
    return {"name": "antiphon", "version": __version__}
