"""A connection to one server: what is asked of it, and what is remembered of its answers."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ..pipeline.errors import InvalidParameter
from . import handlers, jsonrpc
from .endpoint import Headers
from .errors import McpConnectionError, McpError, McpProtocolError, McpServerError, McpTimeoutError
from .http_sse import HttpSse
from .negotiation import Agreement, Negotiation
from .param_headers import NAMED_BY, Path, WrongHeaders, encode_value, header_paths, param_headers
from .server import LEGACY, MODERN
from .session import Ask, Call, Limit, OnProgress, Session
from .stdio import Stdio
from .streamable_http import SessionLost, StreamableHttp
from .tool_server import check_allowed
from .types import ToolInfo, ToolResult

if TYPE_CHECKING:
    from ..pipeline.runtime import Runtime
    from ..pipeline.tasks import Task
    from .server import McpServer

log = logging.getLogger("antiphon.mcp")

# A server that is asked for what it does not know may keep silent; so long it may, before it is asked the older way.
_PROBE_S = 10.0
_MOST_PAGES = 1000
_MOST_TOOLS = 10_000
_MOST_ROUNDS = 10
_META = "io.modelcontextprotocol/"
_CLIENT_NAME = "antiphon"


class Connection(Protocol):
    """A server as one event loop, or all sync calls, talk to it. Callable from any of their tasks or threads.

    It connects when it is first used, and again when the connection or the session was lost.
    """

    @property
    def server_name(self) -> str:
        """Its own name; the registered one before it has told it."""
        ...

    @property
    def protocol_version(self) -> str | None:
        """The revision that is spoken; None before the first request, and for objects of this process."""
        ...

    async def list_tools(self, *, timeout_s: float | None = None) -> tuple[ToolInfo, ...]:
        """Return all tools that are allowed, of all pages; remembered until the server says that they changed.

        Args:
            timeout_s: in place of the server's own limit, and for connecting too.

        Raises:
            McpError: it did not answer, or not well.
        """
        ...

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        """Run a tool. It is never run twice, unless the server's `idempotent` says that it may be.

        Args:
            timeout_s: in place of the server's own limit, and for connecting too.
            on_progress: called with (progress, total, message) when the server tells how far it is. Must not wait.
            meta: sent as `_meta`.

        Raises:
            InvalidParameter: the tool is not among the server's `allowed_tools`.
            McpError: no result came; `McpConnectionError.sent` says whether the tool may have run.
        """
        ...

    async def ping(self, *, timeout_s: float | None = None) -> None:
        """Ask whether it is there. Revision 2026-07-28 has no ping; `server/discover` takes its place.

        Raises:
            McpError: it is not.
        """
        ...

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        """Send any request of the protocol, e.g. "resources/read", and return its result.

        Where the server asks for more before it can answer, the handlers answer it.

        Args:
            repeatable: whether it may be sent again when nobody knows what became of it.

        Raises:
            McpError: no result came.
            UnsupportedOperation: the server is an object of this process, which has tools only.
        """
        ...

    async def connect(self) -> None:
        """Connect now, and not with the first request. Raises as requests do."""
        ...

    async def close(self) -> None:
        """End the session, and the server if it was started here. Idempotent; a later request begins anew."""
        ...

    def shut(self) -> None:
        """As `close`, as far as that is possible from any thread without waiting for the server's answer."""
        ...


class _Tools(msgspec.Struct, frozen=True):
    """A list of tools, and how long it may be used.

    Args:
        paths: which arguments of a tool go into headers.
        wrong: tools that must not be used, and why.
    """

    tools: tuple[ToolInfo, ...]
    paths: dict[str, dict[str, Path]]
    wrong: dict[str, str]
    fresh_until: float


class WireConnection:
    """A server that is spoken to by messages. See `Connection`.

    Args:
        name: as registered.
        known: the revision that it spoke when it was last connected to.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime, known: str | None = None) -> None:
        self.name = name
        self._server = server
        self._runtime = runtime
        self._known = known
        self._session = Session(name, handlers.handled(server), self._notified)
        self._starting = runtime.lock()
        self._listing = runtime.lock()
        self._transport = self._make_transport()
        self._tools: _Tools | None = None
        self._changes = 0
        self._asks: dict[jsonrpc.RequestId, Task] = {}

    def __repr__(self) -> str:
        agreement = self._transport.agreement
        state = f"speaks {agreement.version}" if agreement is not None else "not connected"
        return f"<Connection to {self.name!r}, {self._server.where}, {state}>"

    @property
    def server_name(self) -> str:
        agreement = self._transport.agreement
        return (agreement.server_name if agreement is not None else "") or self.name

    @property
    def protocol_version(self) -> str | None:
        agreement = self._transport.agreement
        return self._known if agreement is None else agreement.version

    @property
    def instructions(self) -> str | None:
        """How to use the server, in its own words, which are not to be trusted."""
        agreement = self._transport.agreement
        return None if agreement is None else agreement.instructions

    async def list_tools(self, *, timeout_s: float | None = None) -> tuple[ToolInfo, ...]:
        return (await self._tool_list(timeout_s)).tools

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        check_allowed(self._server, self.name, name)
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments)}
        if meta:
            params["_meta"] = dict(meta)
        result = await self.request(
            "tools/call",
            params,
            timeout_s=timeout_s,
            on_progress=on_progress,
            repeatable=self._server.idempotent is True
            or (isinstance(self._server.idempotent, tuple) and name in self._server.idempotent),
        )
        try:
            return ToolResult.of(result)
        except ValueError as error:
            raise self._wrong(f"answered tools/call with {error}", "tools/call") from error

    async def ping(self, *, timeout_s: float | None = None) -> None:
        await self._ready(timeout_s)
        agreement = self._transport.agreement
        modern = agreement is not None and agreement.is_modern
        await self.request("server/discover" if modern else "ping", None, timeout_s=timeout_s, repeatable=True)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        repeatable: bool = False,
    ) -> dict[str, Any]:
        own = self._server.tool_timeout_s if method == "tools/call" else self._server.timeout_s
        given = dict(params) if params is not None else None
        extra: dict[str, Any] = {}
        limit: Limit | None = None
        for _ in range(_MOST_ROUNDS):
            await self._ready(timeout_s)
            if limit is None:
                seconds = own if timeout_s is None else timeout_s
                limit = Limit(self._runtime.now() + seconds, seconds)
            sent = {**(given or {}), **extra} if given or extra else given
            result = await self._sent(method, sent, limit, on_progress, repeatable)
            kind = result.get("resultType", "complete")
            if kind == "complete":
                return result
            if kind != "input_required":
                raise self._wrong(f"answered {method} with a result of type {kind!r}", method)
            extra = await self._inputs(result, method)
        raise self._wrong(f"asked for more input {_MOST_ROUNDS} times for one {method}", method)

    async def connect(self) -> None:
        await self._ready(None)

    async def close(self) -> None:
        self._cancel_asks()
        transport = self._transport
        try:
            await transport.close()
        finally:
            transport.agreement = None
            self._tools = None

    def shut(self) -> None:
        self._cancel_asks()
        self._transport.shut()

    # --- sending ------------------------------------------------------------------------------------------------------

    async def _sent(
        self,
        method: str,
        params: dict[str, Any] | None,
        limit: Limit,
        on_progress: OnProgress | None,
        repeatable: bool,
    ) -> dict[str, Any]:
        """Send a request, and a second time where that is safe and may help."""
        try:
            return await self._once(method, params, limit, on_progress)
        except SessionLost as error:
            await self._lose_session(error.session_id)
        except McpConnectionError as error:
            if isinstance(error, McpTimeoutError) or error.status is not None or not (repeatable or not error.sent):
                raise
        except McpServerError as error:
            if error.rpc_code != jsonrpc.HEADER_MISMATCH or method != "tools/call":
                raise
            self._tools = None  # its headers have changed, and it has not run
        await self._ready(None)
        return await self._once(method, params, limit, on_progress)

    async def _once(
        self, method: str, params: dict[str, Any] | None, limit: Limit, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        transport = self._transport
        agreement = transport.agreement
        if agreement is None:  # lost again, between two steps
            raise McpConnectionError(f'server "{self.name}" was lost', sent=False, server=self.name, method=method)
        headers = await self._headers(method, params) if agreement.is_modern else ()
        return await self._exchanged(method, params, agreement.version, headers, limit, on_progress)

    async def _exchanged(
        self,
        method: str,
        params: dict[str, Any] | None,
        version: str,
        headers: Headers,
        limit: Limit,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        transport = self._transport
        call = self._session.begin(method, on_progress)
        try:
            message = jsonrpc.request(call.id, method, self._completed(params, call, version))
            await transport.exchange(call, message, headers, limit)
            return call.result()
        except McpTimeoutError:
            self._abandon(call, "the time is up")
            raise
        except McpProtocolError as error:
            if error.status is not None:
                transport.agreement = None  # it may be another server by now; the next request finds out
            raise
        except McpError:
            raise
        except BaseException:
            self._abandon(call, "nobody waits for it")
            raise
        finally:
            self._session.end(call)

    def _abandon(self, call: Call, reason: str) -> None:
        if not call.is_done and call.method != "initialize":
            params = {"requestId": call.id, "reason": reason}
            with contextlib.suppress(RuntimeError):  # the loop is ending; there is nobody to tell it
                self._transport.abandon(call, jsonrpc.notification("notifications/cancelled", params))

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

    async def _headers(self, method: str, params: dict[str, Any] | None) -> Headers:
        headers = [("mcp-method", method)]
        name = (params or {}).get(NAMED_BY.get(method, ""))
        if isinstance(name, str):
            headers.append(("mcp-name", encode_value(name)))
        if method == "tools/call" and isinstance(name, str) and isinstance(self._transport, StreamableHttp):
            known = self._tools or await self._tool_list(None)
            if name in known.wrong:
                raise self._wrong(f'has a tool "{name}" that must not be used: {known.wrong[name]}', method)
            try:
                headers.extend(param_headers(known.paths.get(name, {}), (params or {}).get("arguments", {})))
            except WrongHeaders as error:
                raise InvalidParameter(f'tool "{name}" of server "{self.name}": {error}', param="arguments") from error
        return headers

    async def _inputs(self, result: dict[str, Any], method: str) -> dict[str, Any]:
        """Answer what a server asks for before it can answer; return what goes with the repeated request."""
        asked = result.get("inputRequests", {})
        if not isinstance(asked, dict) or ("inputRequests" not in result and "requestState" not in result):
            raise self._wrong(f"asked for input for {method}, and did not say for which", method)
        answers: dict[str, Any] = {}
        for key, ask in asked.items():
            wanted = ask.get("method") if isinstance(ask, dict) else None
            if wanted not in handlers.handled(self._server):
                raise self._wrong(
                    f"asks for {wanted} before it answers {method}, and this client has no handler for it", method
                )
            params = ask.get("params")
            answers[key] = await handlers.answer(
                self._server, self._runtime, wanted, params if isinstance(params, dict) else {}
            )
        extra: dict[str, Any] = {"inputResponses": answers} if answers else {}
        if "requestState" in result:
            extra["requestState"] = result["requestState"]
        return extra

    # --- connecting ---------------------------------------------------------------------------------------------------

    def _make_transport(self) -> StreamableHttp | HttpSse | Stdio:
        kind: type[StreamableHttp] | type[HttpSse] | type[Stdio] = StreamableHttp
        if self._server.command is not None:
            kind = Stdio
        elif self._server.transport == "sse":
            kind = HttpSse
        return kind(self.name, self._server, self._runtime, self._session, self._react)

    @property
    def _is_ready(self) -> bool:
        return self._transport.agreement is not None and self._transport.is_open

    async def _ready(self, timeout_s: float | None) -> None:
        """Connect, and agree upon a revision, where that has not been done; one caller does it for all."""
        if self._is_ready:
            return
        async with self._starting:
            if not self._is_ready:
                seconds = self._server.start_timeout_s
                if timeout_s is not None:
                    seconds = min(seconds, timeout_s)
                try:
                    await self._begin(Limit(self._runtime.now() + seconds, seconds))
                except BaseException:
                    self._transport.agreement = None
                    await self._transport.close()
                    raise

    async def _begin(self, limit: Limit) -> None:
        transport = self._transport
        transport.agreement = self._tools = None
        await transport.start()
        protocol = self._server.protocol
        if isinstance(transport, HttpSse) and protocol == "auto":
            protocol = LEGACY[0]  # older than the question
        negotiation = Negotiation(self.name, protocol, self._known)
        while negotiation.agreement is None:
            try:
                result = await self._step(negotiation, limit)
            except McpError as error:
                if self._is_older_transport(error, negotiation):
                    self._transport = HttpSse(self.name, self._server, self._runtime, self._session, self._react)
                    await self._begin(limit)
                    return
                negotiation.failed(error)
            else:
                negotiation.answered(result)
        agreement = negotiation.agreement
        if not agreement.is_modern:
            transport.agreement = Agreement(agreement.version)  # for the header; others still wait for the lock
            await transport.tell(jsonrpc.notification("notifications/initialized"))
            listen = self._server.listen
            if listen or (listen is None and handlers.handled(self._server)):
                transport.listen()
        self._known = agreement.version
        transport.agreement = agreement

    async def _step(self, negotiation: Negotiation, limit: Limit) -> dict[str, Any]:
        if negotiation.step == "discover":
            left = limit.ends_at - self._runtime.now()
            seconds = min(_PROBE_S, left / 2) if self._server.protocol == "auto" else left
            headers = [("mcp-protocol-version", negotiation.version), ("mcp-method", "server/discover")]
            probe = Limit(self._runtime.now() + seconds, seconds)
            return await self._exchanged("server/discover", None, negotiation.version, headers, probe)
        params = {
            "protocolVersion": negotiation.version,
            "capabilities": handlers.capabilities(self._server),
            "clientInfo": _client_info(),
        }
        return await self._exchanged("initialize", params, negotiation.version, (), limit)

    def _is_older_transport(self, error: McpError, negotiation: Negotiation) -> bool:
        """Tell whether a refused `initialize` means that the server may speak HTTP+SSE."""
        return (
            isinstance(self._transport, StreamableHttp)
            and self._server.transport == "auto"
            and negotiation.step == "initialize"
            and isinstance(error, McpProtocolError)
            and error.status in (400, 404, 405)
        )

    async def _lose_session(self, session_id: str) -> None:
        """Begin a new session in place of a lost one, unless somebody just did."""
        async with self._starting:
            transport = self._transport
            if isinstance(transport, StreamableHttp) and transport.session_id == session_id:
                transport.agreement = transport.session_id = None
                transport.shut()

    # --- the server's own messages ------------------------------------------------------------------------------------

    async def _react(self, todo: bytes | Ask) -> None:
        if isinstance(todo, Ask):
            # Beside the reader: a user may take minutes, and others wait for what the same stream brings.
            self._asks[todo.id] = self._runtime.spawn(lambda: self._answer(todo), "mcp-ask")
            return
        try:
            await self._transport.tell(todo)
        except McpError as error:
            log.debug("an answer to server %s got lost: %s", self.name, error)

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
        if method == "notifications/tools/list_changed":
            self._changes += 1
            self._tools = None
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

    # --- tools --------------------------------------------------------------------------------------------------------

    async def _tool_list(self, timeout_s: float | None) -> _Tools:
        await self._ready(timeout_s)
        await self._transport.poll()  # it may have said that its tools have changed
        known = self._tools
        if known is not None and self._runtime.now() < known.fresh_until:
            return known
        async with self._listing:
            known = self._tools
            if known is None or self._runtime.now() >= known.fresh_until:
                changes = self._changes
                known = await self._listed(timeout_s)
                if self._changes == changes:
                    self._tools = known
            return known

    async def _listed(self, timeout_s: float | None) -> _Tools:
        raw: list[Any] = []
        cursor: str | None = None
        seen: set[str] = set()
        held_s = math.inf
        seconds = self._server.timeout_s if timeout_s is None else timeout_s
        ends_at = self._runtime.now() + seconds
        while True:
            left = max(ends_at - self._runtime.now(), 0.0)
            params = None if cursor is None else {"cursor": cursor}
            try:
                page = await self.request("tools/list", params, timeout_s=left, repeatable=True)
            except McpServerError as error:
                if error.rpc_code == jsonrpc.METHOD_NOT_FOUND and not self._has("tools"):
                    break
                raise
            tools = page.get("tools")
            if not isinstance(tools, list):
                raise self._wrong("answered tools/list without a list of tools", "tools/list")
            raw.extend(tools)
            ttl_ms = page.get("ttlMs")
            held_s = min(held_s, ttl_ms / 1000 if isinstance(ttl_ms, int | float) and ttl_ms > 0 else 0.0)
            cursor = page.get("nextCursor")
            # An empty cursor is a cursor; only none is the end.
            if not isinstance(cursor, str):
                break
            if cursor in seen or len(seen) >= _MOST_PAGES or len(raw) > _MOST_TOOLS:
                log.warning("server %s has no end of pages; its first %d tools are taken", self.name, len(raw))
                break
            seen.add(cursor)
        return self._read_tools(raw[:_MOST_TOOLS], self._runtime.now() + self._age(held_s))

    def _read_tools(self, raw: list[Any], fresh_until: float) -> _Tools:
        allowed = self._server.allowed_tools
        tools: list[ToolInfo] = []
        paths: dict[str, dict[str, Path]] = {}
        wrong: dict[str, str] = {}
        checked = isinstance(self._transport, StreamableHttp)
        for definition in raw:
            try:
                tool = ToolInfo.of(definition if isinstance(definition, dict) else {})
            except ValueError as error:
                log.warning("server %s lists %s; it is left out", self.name, error)
                continue
            if allowed is not None and tool.name not in allowed:
                continue
            agreement = self._transport.agreement
            if checked and agreement is not None and agreement.is_modern:
                try:
                    paths[tool.name] = header_paths(tool.input_schema)
                except WrongHeaders as error:
                    log.warning("tool %s of server %s must not be used: %s", tool.name, self.name, error)
                    wrong[tool.name] = str(error)
                    continue
            tools.append(tool)
        return _Tools(tuple(tools), {name: found for name, found in paths.items() if found}, wrong, fresh_until)

    def _age(self, held_s: float) -> float:
        """Return how long a list of tools may be used."""
        agreement = self._transport.agreement
        tools = agreement.capabilities.get("tools") if agreement is not None else None
        told = isinstance(tools, dict) and tools.get("listChanged") is True and self._transport.hears_changes
        if told and agreement is not None and not agreement.is_modern:
            return math.inf
        return max(held_s if held_s < math.inf else 0.0, self._server.list_age_s)

    def _has(self, capability: str) -> bool:
        agreement = self._transport.agreement
        return agreement is not None and capability in agreement.capabilities

    def _wrong(self, text: str, method: str) -> McpProtocolError:
        return McpProtocolError(f'server "{self.name}" {text}', server=self.name, method=method)


def _client_info() -> dict[str, str]:
    from .. import __version__

    return {"name": _CLIENT_NAME, "version": __version__}
