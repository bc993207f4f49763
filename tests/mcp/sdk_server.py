"""A server on the official SDK: `python -P sdk_server.py stdio`, or `streamable-http PORT`, or `sse PORT`."""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context

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
    raise ValueError("broken inside")


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


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run(sys.argv[1], port=int(sys.argv[2]))  # type: ignore[call-overload]
