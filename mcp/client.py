"""One server for direct use, without a chain and a model."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..pipeline.engine import Engine
from ..pipeline.runtimes.driver import drive
from .registry import McpServers
from .server import McpServer

if TYPE_CHECKING:
    from .connection import Connection
    from .session import OnProgress
    from .types import ToolInfo, ToolResult


def connect(server: Any, *, name: str | None = None, **settings: Any) -> McpClient:
    """Return a client of one server, to be used in a `with` or `async with` block, which connects it.

    Args:
        server: what `McpServer.of` takes: a URL, a mapping as in mcp.json files, a `ToolServer`, an `McpServer`.
        name: for messages.
        settings: fields of `McpServer`, e.g. auth, timeout_s.

    Raises:
        SetupError: it cannot be read.
    """
    return McpClient(McpServer.of(server, **settings), name)


class McpClient:
    """A client of one server. Its methods may be called from any thread, their async twins in any event loop."""

    def __init__(self, server: McpServer, name: str | None = None) -> None:
        self.server = server
        self.name = name or server.where
        self._servers = McpServers({self.name: server})
        self._engine = Engine()
        self._engine.on_close(self._servers.close)

    def list_tools(self, *, timeout_s: float | None = None) -> tuple[ToolInfo, ...]:
        """Return the server's tools. See `Connection.list_tools`."""
        return drive(self._list_tools(False, timeout_s))

    async def alist_tools(self, *, timeout_s: float | None = None) -> tuple[ToolInfo, ...]:
        """Return the server's tools. See `Connection.list_tools`."""
        return await self._list_tools(True, timeout_s)

    def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] = {},
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        """Run a tool. See `Connection.call_tool`."""
        return drive(self._call_tool(False, name, arguments, timeout_s, on_progress, meta))

    async def acall_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] = {},
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        """Run a tool. See `Connection.call_tool`."""
        return await self._call_tool(True, name, arguments, timeout_s, on_progress, meta)

    def request(self, method: str, params: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        """Send any other request, e.g. "resources/read". See `WireConnection.request`."""
        return drive(self._request(False, method, params, settings))

    async def arequest(self, method: str, params: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        """Send any other request, e.g. "resources/read". See `WireConnection.request`."""
        return await self._request(True, method, params, settings)

    def ping(self, *, timeout_s: float | None = None) -> None:
        """Ask whether the server is there."""
        drive(self._ping(False, timeout_s))

    async def aping(self, *, timeout_s: float | None = None) -> None:
        """Ask whether the server is there."""
        await self._ping(True, timeout_s)

    @property
    def protocol_version(self) -> str | None:
        """The revision that was agreed upon; None before, and for objects of this process."""
        return self._servers.version_of(self.server)

    def close(self) -> None:
        """Close what sync calls opened. Idempotent; the client is of no use afterwards."""
        self._engine.close()

    async def aclose(self) -> None:
        """Close everything. Idempotent; the client is of no use afterwards."""
        await self._servers.aclose(self._engine.runtime(is_async=True))
        await self._engine.aclose()

    def __enter__(self) -> Self:
        try:
            drive(self._connect(False))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        try:
            await self._connect(True)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<McpClient of {self.server!r}>"

    async def _connection(self, is_async: bool) -> Connection:
        return await self._servers.connection(self.name, self.server, self._engine.runtime(is_async=is_async))

    async def _connect(self, is_async: bool) -> None:
        await (await self._connection(is_async)).connect()

    async def _list_tools(self, is_async: bool, timeout_s: float | None) -> tuple[ToolInfo, ...]:
        return await (await self._connection(is_async)).list_tools(timeout_s=timeout_s)

    async def _call_tool(
        self,
        is_async: bool,
        name: str,
        arguments: Mapping[str, Any],
        timeout_s: float | None,
        on_progress: OnProgress | None,
        meta: Mapping[str, Any] | None,
    ) -> ToolResult:
        connection = await self._connection(is_async)
        return await connection.call_tool(name, arguments, timeout_s=timeout_s, on_progress=on_progress, meta=meta)

    async def _request(
        self, is_async: bool, method: str, params: Mapping[str, Any] | None, settings: dict[str, Any]
    ) -> dict[str, Any]:
        return await (await self._connection(is_async)).request(method, params, **settings)

    async def _ping(self, is_async: bool, timeout_s: float | None) -> None:
        await (await self._connection(is_async)).ping(timeout_s=timeout_s)
