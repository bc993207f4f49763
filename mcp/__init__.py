"""The MCP client: servers of tools, over HTTP, as programs, or as objects of this process.

    with antiphon.mcp.connect("https://example.com/mcp") as server:
        print(server.list_tools())

Importing this package loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors as errors
    from .auth import AuthChallenge as AuthChallenge
    from .client import McpClient as McpClient
    from .client import connect as connect
    from .client_credentials import ClientCredentials as ClientCredentials
    from .connection import Connection as Connection
    from .errors import *  # noqa: F403
    from .registry import McpServers as McpServers
    from .server import McpServer as McpServer
    from .tool_server import ToolServer as ToolServer
    from .types import ToolInfo as ToolInfo
    from .types import ToolResult as ToolResult

_HOMES = {
    "AuthChallenge": "auth",
    "ClientCredentials": "client_credentials",
    "Connection": "connection",
    "McpAddressRefused": "errors",
    "McpAuthError": "errors",
    "McpClient": "client",
    "McpConnectionError": "errors",
    "McpError": "errors",
    "McpProtocolError": "errors",
    "McpServerError": "errors",
    "McpTimeoutError": "errors",
    "McpServer": "server",
    "McpServers": "registry",
    "ToolInfo": "types",
    "ToolResult": "types",
    "ToolServer": "tool_server",
    "UnknownMcpServer": "errors",
    "connect": "client",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "errors", "__all__", "__doc__", "__name__"]
