"""A connection to one server: what is asked of it, and what is remembered of its answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..pipeline.errors import InvalidParameter
from ..pipeline.wording import quoted
from . import handlers, jsonrpc
from .endpoint import Headers
from .errors import McpConnectionError, McpProtocolError, McpServerError, McpTimeoutError
from .param_headers import NAMED_BY, WrongHeaders, encode_value, param_headers
from .session import Limit, OnNotice, OnProgress
from .streamable_http import SessionLost
from .tool_list import Pages, ToolList, read_tool_list
from .tool_server import check_allowed
from .types import ToolInfo, ToolResult
from .wire import Wire

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from .server import McpServer

_MOST_ROUNDS = 10


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
        on_notice: OnNotice | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        """Run a tool. It is never run twice, unless the server's `idempotent` says that it may be.

        Args:
            timeout_s: in place of the server's own limit, and for connecting too.
            on_progress: called with (progress, total, message) when the server tells how far it is. Must not wait.
            on_notice: called with (method, params) of each notification that the server sends meanwhile. Must not wait.
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
        self._wire = Wire(name, server, runtime, known, self._list_changed)
        self._listing = runtime.lock()
        self._tools: ToolList | None = None
        self._changes = 0

    def __repr__(self) -> str:
        agreement = self._wire.agreement
        state = f"speaks {agreement.version}" if agreement is not None else "not connected"
        return f"<Connection to {self.name!r}, {self._server.where}, {state}>"

    @property
    def server_name(self) -> str:
        agreement = self._wire.agreement
        return (agreement.server_name if agreement is not None else "") or self.name

    @property
    def protocol_version(self) -> str | None:
        return self._wire.known

    @property
    def instructions(self) -> str | None:
        """How to use the server, in its own words, which are not to be trusted."""
        agreement = self._wire.agreement
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
        on_notice: OnNotice | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        if on_notice is not None:
            self._wire.listeners.append(on_notice)
            try:
                return await self.call_tool(name, arguments, timeout_s=timeout_s, on_progress=on_progress, meta=meta)
            finally:
                self._wire.listeners.remove(on_notice)
        check_allowed(self._server, self.name, name)
        params: dict[str, Any] = {"name": name, "arguments": dict(arguments)}
        if meta:
            params["_meta"] = dict(meta)
        idempotent = self._server.idempotent
        result = await self.request(
            "tools/call",
            params,
            timeout_s=timeout_s,
            on_progress=on_progress,
            repeatable=idempotent if isinstance(idempotent, bool) else name in idempotent,
        )
        try:
            return ToolResult.of(result)
        except ValueError as error:
            raise self._wrong(f"answered tools/call with {error}", "tools/call") from error

    async def ping(self, *, timeout_s: float | None = None) -> None:
        await self._wire.ready(timeout_s)
        agreement = self._wire.agreement
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
        seconds = own if timeout_s is None else timeout_s
        given = None if params is None else dict(params)
        extra: dict[str, Any] = {}
        limit = None if timeout_s is None else Limit(self._runtime.now() + seconds, seconds)
        for _ in range(_MOST_ROUNDS):
            await self._wire.ready(timeout_s)
            limit = limit or Limit(self._runtime.now() + seconds, seconds)
            whole = {**(given or {}), **extra} if extra else given
            result = await self._sent(method, whole, limit, on_progress, repeatable)
            kind = result.get("resultType", "complete")
            if kind == "complete":
                return result
            if kind != "input_required":
                raise self._wrong(f"answered {method} with a result of type {quoted(kind)}", method)
            extra = await self._inputs(result, method)
        raise self._wrong(f"asked for more input {_MOST_ROUNDS} times for one {method}", method)

    async def connect(self) -> None:
        await self._wire.ready(None)

    async def close(self) -> None:
        self._tools = None
        await self._wire.close()

    def shut(self) -> None:
        self._wire.shut()

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
            self._wire.lose_session(error.session_id)
        except McpConnectionError as error:
            if isinstance(error, McpTimeoutError) or error.status is not None or not (repeatable or not error.sent):
                raise
        except McpServerError as error:
            if error.rpc_code != jsonrpc.HEADER_MISMATCH or method != "tools/call":
                raise
            self._tools = None  # its headers have changed, and it has not run
        await self._wire.ready(self._left(limit))
        return await self._once(method, params, limit, on_progress)

    async def _once(
        self, method: str, params: dict[str, Any] | None, limit: Limit, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        agreement = self._wire.agreement
        if agreement is None:  # lost again, between two steps
            raise McpConnectionError(
                f'the connection to server "{self.name}" was lost before {method} was sent',
                sent=False,
                server=self.name,
                method=method,
                hint="call again; the next request connects anew",
            )
        headers = await self._headers(method, params or {}, limit) if self._wire.is_modern_http else ()
        return await self._wire.send(method, params, agreement.version, headers, limit, on_progress)

    async def _headers(self, method: str, params: Mapping[str, Any], limit: Limit) -> Headers:
        headers = [("mcp-method", method)]
        name = params.get(NAMED_BY.get(method, ""))
        if isinstance(name, str):
            headers.append(("mcp-name", encode_value(name)))
        if method == "tools/call" and isinstance(name, str):
            known = self._tools or await self._tool_list(self._left(limit))
            if name in known.wrong:
                raise self._wrong(f'has a tool "{name}" that must not be used: {known.wrong[name]}', method)
            try:
                headers.extend(param_headers(known.paths.get(name, {}), params.get("arguments", {})))
            except WrongHeaders as error:
                raise InvalidParameter(f'tool "{name}" of server "{self.name}": {error}', param="arguments") from error
        return headers

    def _left(self, limit: Limit) -> float:
        return max(limit.ends_at - self._runtime.now(), 0.0)

    async def _inputs(self, result: dict[str, Any], method: str) -> dict[str, Any]:
        """Answer what a server asks for before it can answer; return what goes with the repeated request.

        Source: MCP specification 2026-07-28, Multi round-trip requests, read 2026-08.
        """
        asked = result.get("inputRequests", {})
        if not isinstance(asked, dict) or ("inputRequests" not in result and "requestState" not in result):
            raise self._wrong(f"asked for input for {method}, and did not say for which", method)
        answers: dict[str, Any] = {}
        for key, ask in asked.items():
            wanted = ask.get("method") if isinstance(ask, dict) else None
            if wanted not in handlers.handled(self._server):
                raise self._wrong(
                    f"asks for {wanted} before it answers {method}, and nothing here answers that: "
                    "see elicit, sample and roots of McpServer",
                    method,
                )
            params = ask.get("params")
            answers[key] = await handlers.answer(
                self._server, self._runtime, wanted, params if isinstance(params, dict) else {}
            )
        extra: dict[str, Any] = {"inputResponses": answers} if answers else {}
        if "requestState" in result:
            extra["requestState"] = result["requestState"]
        return extra

    async def _tool_list(self, timeout_s: float | None) -> ToolList:
        await self._wire.ready(timeout_s)
        await self._wire.poll()  # it may have said that its tools have changed
        known = self._tools
        if known is not None and self._runtime.now() < known.fresh_until:
            return known
        async with self._listing:
            known = self._tools
            if known is None or self._runtime.now() >= known.fresh_until:
                changes = self._changes
                known = await self._listed(self._server.timeout_s if timeout_s is None else timeout_s)
                if self._changes == changes:
                    self._tools = known
            return known

    async def _listed(self, seconds: float) -> ToolList:
        pages = Pages(self.name)
        limit = Limit(self._runtime.now() + seconds, seconds)
        more = True
        while more:
            params = None if pages.cursor is None else {"cursor": pages.cursor}
            try:
                page = await self.request("tools/list", params, timeout_s=self._left(limit), repeatable=True)
            except McpServerError as error:
                if error.rpc_code != jsonrpc.METHOD_NOT_FOUND or "tools" in self._capabilities:
                    raise
                break
            tools = page.get("tools")
            if tools is None and "tools" in page:  # the empty list of a server in Go
                tools = []
            if not isinstance(tools, list):
                raise self._wrong("answered tools/list without a list of tools", "tools/list")
            more = pages.add(tools, page)
        return read_tool_list(
            self.name,
            pages.items,
            allowed=self._server.allowed_tools,
            with_headers=self._wire.is_modern_http,
            fresh_until=self._runtime.now() + self._age(pages.held_s or 0.0),
        )

    def _age(self, held_s: float) -> float:
        """Return how long a list of tools may be used, seconds."""
        tools = self._capabilities.get("tools")
        agreement = self._wire.agreement
        tells = isinstance(tools, dict) and tools.get("listChanged") is True and self._wire.hears_changes
        if tells and agreement is not None and not agreement.is_modern:
            return math.inf
        return max(held_s, self._server.list_age_s)

    @property
    def _capabilities(self) -> dict[str, Any]:
        agreement = self._wire.agreement
        return {} if agreement is None else agreement.capabilities

    def _list_changed(self) -> None:
        self._changes += 1
        self._tools = None

    def _wrong(self, text: str, method: str) -> McpProtocolError:
        return McpProtocolError(f'server "{self.name}" {text}', server=self.name, method=method)
