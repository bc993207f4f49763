"""Servers that are objects of this process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import anyio
import msgspec
import pytest
from conftest import Mode
from mcp import Client
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_calls import connected

from antiphon import SuspendedInSync, UnsupportedOperation
from antiphon.mcp import McpServerError, McpTimeoutError, ToolInfo, ToolResult, connect
from antiphon.mcp.tool_server import result_of, tools_of

WIRE = {"name": "add", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}


class Plain:
    """A server of plain functions."""

    def __init__(self) -> None:
        self.calls = 0

    def list_tools(self) -> list[Any]:
        return [WIRE, ToolInfo.of({"name": "boom", "inputSchema": {}})]

    def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        self.calls += 1
        if name == "boom":
            raise ValueError("broken inside")
        return arguments["a"] + arguments["b"]


class Async(Plain):
    """The same with async functions, which do not wait for anything."""

    async def list_tools(self) -> Any:  # type: ignore[override]
        return {"tools": super().list_tools()}

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        return super().call_tool(name, arguments)


@pytest.mark.parametrize("kind", [Plain, Async])
def test_an_object_serves_tools(mode: Mode, run: Any, kind: type[Plain]) -> None:
    async def body() -> None:
        async with connected(mode, kind()) as server:
            assert await server.names() == ["add", "boom"]
            assert await server.add(2, 3) == "5"
            with pytest.raises(McpServerError, match="failed in tools/call: ValueError: broken inside"):
                await server.call("boom")
            await server.ping()
            with pytest.raises(UnsupportedOperation):
                await server.request("prompts/list")

    run(body)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_of_the_official_sdk_serves_tools(backend: str) -> None:
    async def body() -> None:
        async with Client(sdk_server()) as theirs, connect(theirs, name="theirs") as server:
            assert [tool.name for tool in await server.alist_tools()] == ["add", "boom"]
            result = await server.acall_tool("add", {"a": 2, "b": 3})
            assert (result.text, result.structured) == ("5", {"result": 5})
            assert (await server.acall_tool("boom")).is_error

    anyio.run(body, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_server_object_of_the_official_sdk_serves_tools(backend: str) -> None:
    async def body() -> None:
        async with connect(sdk_server(), name="theirs") as server:
            (add, _) = await server.alist_tools()
            assert add.description == "Add two numbers."
            assert (await server.acall_tool("add", {"a": 2, "b": 3})).structured == {"result": 5}

    anyio.run(body, backend=backend)


def sdk_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("demo")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def boom() -> str:
        raise ToolError("broken inside")

    return server


def test_an_object_that_needs_a_loop_says_so_in_a_sync_call() -> None:
    with connect(sdk_server(), name="theirs") as server, pytest.raises(SuspendedInSync, match="needs an event loop"):
        server.call_tool("add", {"a": 1, "b": 2})

    class Sleepy(Plain):
        async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
            await anyio.sleep(0.01)

    with connect(Sleepy()) as server, pytest.raises(SuspendedInSync, match="a Sleepy, needs an event loop"):
        server.call_tool("add", {})


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_run_that_takes_too_long_is_ended_in_async_calls(backend: str) -> None:
    class Slow(Plain):
        async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
            await anyio.sleep(10)

    async def body() -> None:
        async with connect(Slow()) as server:
            began = time.monotonic()
            with pytest.raises(McpTimeoutError, match=r"did not answer tools/call within 0\.1 s"):
                await server.acall_tool("add", timeout_s=0.1)
            assert time.monotonic() - began < 2

    anyio.run(body, backend=backend)


class Dumped:
    """Looks like a pydantic object."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        self.__dict__.update({"type": fields.get("type"), "tools": fields.get("tools")})

    def __repr__(self) -> str:  # without an address, so that all workers of a test run find the same tests
        return f"Dumped({self.fields})"

    def model_dump(self, **settings: Any) -> Mapping[str, Any]:
        assert settings["by_alias"]
        return self.fields


@pytest.mark.parametrize("answer", [[WIRE], (WIRE,), {"tools": [WIRE]}, {"add": WIRE}, [Dumped(**WIRE)]])
def test_lists_of_tools_are_read_in_many_forms(answer: Any) -> None:
    (tool,) = tools_of(answer)

    assert (tool.name, tool.annotations) == ("add", {"readOnlyHint": True})


@pytest.mark.parametrize("answer", ["text", 7, None, [7], [{"inputSchema": {}}]])
def test_what_is_no_list_of_tools_is_an_error(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"tool|list"):
        tools_of(answer)


TEXT = {"type": "text", "text": "hi"}


class FastResult:
    def __init__(self) -> None:
        self.content = (Dumped(**TEXT),)
        self.structured_content = {"a": 1}
        self.is_error = True

    def __repr__(self) -> str:
        return "FastResult()"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (ToolResult(is_error=True), ToolResult(is_error=True)),
        ("hi", ToolResult(content=(TEXT,))),
        (None, ToolResult()),
        ([TEXT], ToolResult(content=(TEXT,))),
        ([Dumped(**TEXT)], ToolResult(content=(TEXT,))),
        (([TEXT], {"x": 1}), ToolResult(content=(TEXT,), structured={"x": 1})),
        ({"content": [TEXT], "isError": True}, ToolResult(content=(TEXT,), is_error=True)),
        (Dumped(content=[TEXT], structuredContent=[1]), ToolResult(content=(TEXT,), structured=[1])),
        (FastResult(), ToolResult(content=(TEXT,), structured={"a": 1}, is_error=True)),
        ({"sum": 3}, ToolResult(content=({"type": "text", "text": '{"sum":3}'},))),
        ([], ToolResult(content=({"type": "text", "text": "[]"},))),
    ],
)
def test_results_are_read_in_many_forms(answer: Any, result: ToolResult) -> None:
    assert result_of(answer) == result


def test_a_result_that_is_no_json_is_an_error() -> None:
    with pytest.raises(ValueError, match="call_tool returned object, which is no JSON"):
        result_of(object())


def test_tools_and_results_keep_what_is_not_known() -> None:
    raw = {"name": "x", "inputSchema": {"$defs": {"a": {"$anchor": "b"}}, "if": {}}, "future": [1]}

    tool = ToolInfo.of(raw)
    result = ToolResult.of({"content": [{"type": "hologram", "data": 1}], "_meta": {"m": 1}})

    assert tool.raw == raw
    assert tool.input_schema == raw["inputSchema"]
    assert result.content == ({"type": "hologram", "data": 1},)
    assert (result.structured, result.meta, result.text) == (None, {"m": 1}, "")
    assert msgspec.json.encode(tool.raw)
