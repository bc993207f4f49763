"""Servers that are objects of this process: what they must do, and their answers in our types.

They are known by their methods, never by their class, so no other MCP package is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from ..pipeline.errors import AntiphonError, InvalidParameter, SuspendedInSync, UnsupportedOperation, did_you_mean
from ..pipeline.network.connection_faults import text_of
from ..pipeline.runtimes.driver import wants_loop
from .callbacks import called
from .errors import McpProtocolError, McpServerError
from .session import Limit, OnNotice, OnProgress, timed_out
from .types import ToolInfo, ToolResult

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from .server import McpServer


T = TypeVar("T")


class ToolServer(Protocol):
    """What may stand in place of an address: a connected client of the official SDK or of fastmcp, a server object of
    theirs, a `Connection`, or an object of your own.

    Both methods may be plain functions as well; in sync calls they must be, or never wait. They are called in the mode
    of the call, and an object that is bound to an event loop only in that loop.
    """

    async def list_tools(self) -> Any:
        """Return the tools: a list, or an object whose `tools` is one and whose `next_cursor` is ignored.

        A tool is a `ToolInfo`, a definition as on the wire, or an object with `model_dump` that gives one.
        """
        ...

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        """Run a tool.

        Return a `ToolResult`, a result as on the wire, an object with `model_dump` that gives one, a list of content
        blocks, or any other value, which becomes text.
        """
        ...


class ObjectConnection:
    """An object of this process as a connection. See `connection.Connection`.

    In async calls its plain functions run in a thread, and a run that takes too long is cancelled; in sync calls they
    run in place, and nothing can stop them.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime) -> None:
        self.name = name
        self._server = server
        self._runtime = runtime

    def __repr__(self) -> str:
        return f"<Connection to {self.name!r}, a {self._server.where}>"

    @property
    def server_name(self) -> str:
        name = getattr(self._server.server, "server_name", None) or getattr(self._server.server, "name", None)
        return name if isinstance(name, str) else self.name

    @property
    def protocol_version(self) -> str | None:
        return None

    async def connect(self) -> None:
        """There is nothing to connect."""

    async def list_tools(self, *, timeout_s: float | None = None) -> tuple[ToolInfo, ...]:
        seconds = self._server.timeout_s if timeout_s is None else timeout_s
        answer = await self._asked("tools/list", seconds, self._server.server.list_tools)
        tools = self._read(tools_of, answer, "tools/list")
        allowed = self._server.allowed_tools
        return tools if allowed is None else tuple([tool for tool in tools if tool.name in allowed])

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
        check_allowed(self._server, self.name, name)
        seconds = self._server.tool_timeout_s if timeout_s is None else timeout_s
        answer = await self._asked("tools/call", seconds, self._server.server.call_tool, name, dict(arguments))
        return self._read(result_of, answer, "tools/call")

    async def ping(self, *, timeout_s: float | None = None) -> None:
        """It is there."""

    async def request(self, method: str, params: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        raise UnsupportedOperation(f'server "{self.name}" is an object with tools, and has no {method}')

    async def close(self) -> None:
        """The object is the caller's."""

    def shut(self) -> None:
        """The object is the caller's."""

    async def _asked(self, method: str, seconds: float, fn: Any, *arguments: Any) -> Any:
        """Call the object's function within its time.

        Raises:
            McpTimeoutError: it took longer.
            McpServerError: it raised something; that is the cause.
        """
        runtime = self._runtime
        if not runtime.is_async:  # nothing could end it
            return await self._run(method, fn, arguments)
        failure: list[Exception] = []

        async def work() -> tuple[Any, ...]:
            try:
                return (await self._run(method, fn, arguments),)
            except Exception as error:  # for a race, a failure is no end
                failure.append(error)
                return ()

        async def clock() -> None:
            await runtime.sleep(seconds)

        found = await runtime.race([work, clock])
        if failure:
            raise failure[0]
        if found is None:
            raise timed_out(self.name, method, Limit(0.0, seconds))
        return found[0]

    async def _run(self, method: str, fn: Any, arguments: tuple[Any, ...]) -> Any:
        try:
            return await called(self._runtime, fn, *arguments)
        except SuspendedInSync as error:
            raise self._needs_loop() from error
        except AntiphonError:
            raise
        except Exception as error:
            if not self._runtime.is_async and _lacks_loop(error):
                raise self._needs_loop() from error
            raise McpServerError(
                f'server "{self.name}" failed in {method}: {type(error).__name__}: {text_of(error)}',
                server=self.name,
                method=method,
            ) from error

    def _read(self, read: Callable[[Any], T], answer: Any, method: str) -> T:
        try:
            return read(answer)
        except ValueError as error:
            raise McpProtocolError(f'server "{self.name}": {error}', server=self.name, method=method) from error

    def _needs_loop(self) -> SuspendedInSync:
        return SuspendedInSync(
            f'server "{self.name}", a {self._server.where}, needs an event loop, and this is a sync call',
            hint='call it from async code, or use Client(blocking="portal"), or reach it by url or command',
        )


def _lacks_loop(error: BaseException | None) -> bool:
    """Tell whether an async library complains, perhaps wrapped by others, that no event loop runs."""
    while error is not None:
        if isinstance(error, RuntimeError) and wants_loop(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_allowed(server: McpServer, label: str, tool: str) -> None:
    """Check that a tool may be called.

    Raises:
        InvalidParameter: it may not.
    """
    allowed = server.allowed_tools
    if allowed is not None and tool not in allowed:
        raise InvalidParameter(
            f'tool "{tool}" of server "{label}" is not allowed{did_you_mean(tool, allowed)}', param="tools"
        )


def tools_of(answer: Any) -> tuple[ToolInfo, ...]:
    """Read what `ToolServer.list_tools` returned.

    Raises:
        ValueError: it is nothing of the known forms.
    """
    found = answer.get("tools", answer) if isinstance(answer, Mapping) else getattr(answer, "tools", answer)
    if isinstance(found, Mapping):  # {name: tool}
        found = list(found.values())
    if not isinstance(found, Sequence) or isinstance(found, str | bytes):
        raise ValueError(f"list_tools returned {type(answer).__name__}; a list of tools is expected")
    return tuple([tool if isinstance(tool, ToolInfo) else ToolInfo.of(_plain(tool, "a tool")) for tool in found])


def result_of(answer: Any) -> ToolResult:
    """Read what `ToolServer.call_tool` returned.

    Raises:
        ValueError: it holds what is no JSON.
    """
    if isinstance(answer, ToolResult):
        return answer
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping):
        # The SDK's 1.x server objects: (content blocks, structured content).
        blocks, structured = answer
        return ToolResult(content=_blocks(blocks), structured=structured)
    if answer is None:
        return ToolResult()
    if isinstance(answer, str):
        return ToolResult(content=(_text_block(answer),))
    if isinstance(answer, list | tuple) and answer and all(_is_block(block) for block in answer):
        return ToolResult(content=_blocks(answer))
    if hasattr(answer, "model_dump") or (isinstance(answer, Mapping) and "content" in answer):
        return ToolResult.of(_plain(answer, "a result"))
    if hasattr(answer, "content") and hasattr(answer, "is_error"):
        return _fastmcp_result(answer)
    try:
        return ToolResult(content=(_text_block(msgspec.json.encode(answer).decode()),))
    except (TypeError, ValueError) as error:
        raise ValueError(f"call_tool returned {type(answer).__name__}, which is no JSON") from error


def _fastmcp_result(answer: Any) -> ToolResult:
    """Read the result object of fastmcp's client, which is no pydantic one."""
    structured = getattr(answer, "structured_content", None)
    return ToolResult(content=_blocks(answer.content), structured=structured, is_error=bool(answer.is_error))


def _is_block(block: Any) -> bool:
    kind = block.get("type") if isinstance(block, Mapping) else getattr(block, "type", None)
    return isinstance(kind, str) and (isinstance(block, Mapping) or hasattr(block, "model_dump"))


def _blocks(blocks: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    return tuple([_plain(block, "a content block") for block in blocks])


def _text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _plain(thing: Any, what: str) -> dict[str, Any]:
    """Return an object as it is on the wire."""
    if isinstance(thing, Mapping):
        return dict(thing)
    if isinstance(thing, ToolInfo):
        return thing.raw
    if hasattr(thing, "model_dump"):  # pydantic's: names as on the wire, nothing that was not set
        dumped: dict[str, Any] = thing.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped
    raise ValueError(f"{what} is a {type(thing).__name__}; an object as on the wire is expected")
