"""MCP servers as the command line names them: a URL, a command, or a file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..mcp.registry import McpServers
from ..mcp.server import McpServer
from ..mcp.types import ToolInfo, ToolResult
from ..pipeline.engine import Engine
from ..pipeline.errors import InvalidParameter
from ..pipeline.runtimes.driver import drive

# Programs that run another one, which gives the server its name.
_RUNNERS = re.compile(r"(npx|uvx|uv|run|bunx|node|deno|docker|env|python[\d.]*|-.*|.*=.*)(\.exe)?")


def read_servers(given: Iterable[str]) -> dict[str, McpServer]:
    """Return servers by name; those of a file have the names that it gives them.

    Args:
        given: URLs, command lines (split as a shell would, and run without one), and paths of mcp.json files.

    Raises:
        SetupError: one cannot be read.
        InvalidParameter: two have one name, or a command line has open quotes.
    """
    found: dict[str, McpServer] = {}
    for text in given:
        for name, server in _read(text, found).items():
            if name in found:
                raise InvalidParameter(f'two MCP servers are named "{name}"', hint="rename one of them in its file")
            found[name] = server
    return found


def _read(text: str, taken: dict[str, McpServer]) -> dict[str, McpServer]:
    if re.match(r"https?://", text):
        return {_free(urlsplit(text).hostname or "server", taken): McpServer(url=text)}
    if text.endswith(".json") and Path(text).exists():
        return dict(McpServers.from_file(text).servers)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidParameter(f"the command of an MCP server cannot be read: {error}") from None
    if not words:
        raise InvalidParameter(
            "the address of an MCP server is empty", hint="give a URL, a command, or an mcp.json file"
        )
    own = [word for word in words if not _RUNNERS.fullmatch(PurePosixPath(word).name)]
    name = PurePosixPath(own[0] if own else words[0]).name
    return {_free(name.removesuffix(".py").removesuffix(".js"), taken): McpServer(command=words[0], args=(*words[1:],))}


def _free(wanted: str, taken: dict[str, McpServer]) -> str:
    """Return a name that can stand in a model's list of tools, and is not taken."""
    name = re.sub(r"[^\w-]+", "-", wanted, flags=re.ASCII).strip("-") or "server"
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name}-{count}"
    return free


def listed_tools(servers: McpServers, engine: Engine, timeout_s: float | None = None) -> Iterator[tuple[str, ToolInfo]]:
    """Yield the tools of all servers, each with its server's name.

    Args:
        engine: of the client whose sync calls share the connections.
        timeout_s: in place of each server's own limit, and for connecting too.

    Raises:
        McpError: a server does not answer.
    """
    runtime = engine.runtime(is_async=False)
    for name, server in servers.servers.items():
        connection = drive(servers.connection(name, server, runtime))
        for tool in drive(connection.list_tools(timeout_s=timeout_s)):
            yield name, tool


def called_tool(
    servers: McpServers, engine: Engine, server: str, name: str, arguments: dict[str, Any], timeout_s: float | None
) -> ToolResult:
    """Run a tool of one of the servers, and return what it gave back.

    Raises:
        McpError: the server does not answer.
    """
    connection = drive(servers.connection(server, servers.servers[server], engine.runtime(is_async=False)))
    return drive(connection.call_tool(name, arguments, timeout_s=timeout_s))
