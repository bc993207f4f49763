"""A server on the official SDK: `python -P sdk_server.py stdio`, or `http PORT PORT` (streamable, and HTTP+SSE)."""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("demo")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def say(text: str) -> str:
    """Give the text back."""
    return text


@server.tool()
def boom() -> str:
    """Fail."""
    raise ToolError("broken inside")  # others are logged with a traceback, which takes seconds


@server.tool()
async def slow(seconds: float) -> str:
    """Take a while."""
    await anyio.sleep(seconds)
    return "done"


@server.tool()
def die() -> str:
    """End the process."""
    print("I am dying", file=sys.stderr, flush=True)
    os._exit(3)


@server.tool()
async def count(upto: int, context: Context[Any]) -> str:
    """Report progress."""
    for number in range(1, upto + 1):
        await context.report_progress(number, upto, f"at {number}")
    return "counted"


async def serve_http(port: int, sse_port: int) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: server.run_streamable_http_async(port=port))
        group.start_soon(lambda: server.run_sse_async(port=sse_port))


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        anyio.run(serve_http, int(sys.argv[2]), int(sys.argv[3]))
