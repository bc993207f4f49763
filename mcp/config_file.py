"""mcp.json: the file in which many programs keep their servers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from ..pipeline.errors import SetupError
from .server import McpServer

# As Claude Code and VS Code expand them. Source: their documentation of MCP servers, from memory, 2026-11.
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def read_servers(path: Path) -> dict[str, McpServer]:
    """Return the servers in a file by name, but for the disabled ones.

    Raises:
        SetupError: it cannot be read, or a variable is not set.
    """
    try:
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise SetupError(f"MCP file {path} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SetupError(f"MCP file {path} is no JSON: {error}") from error
    servers = found.get("mcpServers", found.get("servers")) if isinstance(found, dict) else None  # VS Code: "servers"
    if not isinstance(servers, dict):
        raise SetupError(
            f'MCP file {path} has no object "mcpServers"', hint='e.g. {"mcpServers": {"docs": {"url": "https://…"}}}'
        )
    return {
        name: _server(path, name, entry)
        for name, entry in servers.items()
        if not (isinstance(entry, dict) and entry.get("disabled") is True)
    }


def _server(path: Path, name: str, entry: Any) -> McpServer:
    try:
        return McpServer.of(_expanded(entry))
    except SetupError as error:
        raise SetupError(f'MCP file {path}, server "{name}": {error.message}', hint=error.hint) from error


def _expanded(value: Any) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(_variable, value)
    if isinstance(value, list):
        return [_expanded(each) for each in value]
    if isinstance(value, dict):
        return {key: _expanded(each) for key, each in value.items()}
    return value


def _variable(found: re.Match[str]) -> str:
    name, default = found.groups()
    value = os.environ.get(name) or default
    if value is None:
        raise SetupError(f"the environment variable {name} is not set", hint=f"set it, or write ${{{name}:-default}}")
    return value
