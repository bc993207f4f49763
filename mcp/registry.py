"""The named servers of one client, and their connections."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .server import McpServer

if TYPE_CHECKING:
    from ..pipeline.runtime import Runtime
    from .connection import Connection


class McpServers:
    """Named servers, and their connections: one per server and event loop, and one for all sync calls.

    Args:
        servers: name → what `McpServer.of` takes.

    Raises:
        SetupError: one of them cannot be read.
    """

    def __init__(self, servers: Mapping[str, Any] = {}) -> None:
        self.servers = {name: McpServer.of(server) for name, server in servers.items()}

    @classmethod
    def from_file(cls, path: str | Path) -> McpServers:
        """Read an mcp.json: {"mcpServers": {name: {"command": …} or {"url": …}}}."""
        raise NotImplementedError

    def find(self, tool: Mapping[str, Any]) -> list[tuple[str, McpServer]]:
        """Return the servers that a tool of the Responses API means, with their names; [] when they are not ours.

        Args:
            tool: e.g. {"type": "mcp", "server_label": "docs", "server_url": "antiphon/docs"}.

        Raises:
            UnknownMcpServer: it names a server that is not registered.
            McpAddressRefused: its URL is not allowed.
        """
        raise NotImplementedError

    async def connection(self, name: str, server: McpServer, runtime: Runtime) -> Connection:
        """Return the connection to a server for this mode and event loop; it connects when it is first used."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections, blocking; those of event loops too, as far as that can be done from outside."""

    async def aclose(self, runtime: Runtime) -> None:
        """Close the connections of the running event loop, then as `close`."""
