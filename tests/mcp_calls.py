"""One MCP client in the mode of the test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from conftest import Mode

from antiphon.mcp import McpClient, ToolInfo, ToolResult, connect

FOLDER = Path(__file__).parent / "mcp"


def plain_server(*arguments: str) -> dict[str, Any]:
    """Return how the small server on pipes is started: its era, and its habits."""
    return {"command": sys.executable, "args": ["-P", "-S", str(FOLDER / "plain_server.py"), *arguments]}


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended, and waits for its parent to look, does not."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(found.strip()) and not found.strip().startswith("Z")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for_port(port: int, seconds: float = 60.0) -> None:
    """Wait until a server listens there."""
    ends_at = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < ends_at, f"nothing listens on port {port}"
            time.sleep(0.05)


class Caller:
    """A client's methods, in the mode of the test."""

    def __init__(self, mode: Mode, client: McpClient) -> None:
        self.mode = mode
        self.client = client

    async def tools(self, **settings: Any) -> tuple[ToolInfo, ...]:
        return await self.mode.either(
            lambda: self.client.list_tools(**settings), lambda: self.client.alist_tools(**settings)
        )

    async def names(self) -> list[str]:
        return [tool.name for tool in await self.tools()]

    async def call(self, name: str, arguments: dict[str, Any] | None = None, **settings: Any) -> ToolResult:
        given = arguments or {}
        return await self.mode.either(
            lambda: self.client.call_tool(name, given, **settings),
            lambda: self.client.acall_tool(name, given, **settings),
        )

    async def add(self, a: int = 1, b: int = 2) -> str:
        return (await self.call("add", {"a": a, "b": b})).text

    async def ping(self) -> None:
        await self.mode.either(self.client.ping, self.client.aping)

    async def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self.mode.either(
            lambda: self.client.request(method, params), lambda: self.client.arequest(method, params)
        )


@contextlib.asynccontextmanager
async def connected(mode: Mode, server: Any, **settings: Any) -> AsyncGenerator[Caller, None]:
    """Connect a client, and close it afterwards."""
    client = connect(server, **settings)
    if mode.is_async:
        async with client:
            yield Caller(mode, client)
    else:
        with client:
            yield Caller(mode, client)
