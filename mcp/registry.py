"""The named servers of one client, and their connections."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..pipeline.errors import InvalidParameter, SetupError, did_you_mean
from ..pipeline.runtimes.driver import drive
from ..pipeline.secret import Secret
from .addresses import Reach
from .errors import UnknownMcpServer
from .server import McpServer

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from .connection import Connection

# Addresses that stand for the registered servers: ours, and the one that LiteLLM's documentation uses for its gateway.
# Source: LiteLLM documentation, MCP › Using your MCP, read 2026-11.
_OURS = {"antiphon": "antiphon/", "litellm_proxy": "litellm_proxy/mcp/"}
_KEPT_FOREIGN = 64


class McpServers:
    """Named servers, and their connections: one per server and event loop, and one for all sync calls.

    Args:
        servers: name → what `McpServer.of` takes.
        urls: whether calls may bring addresses of their own: True, False, or the hosts that they may name.
        allow_private: whether such addresses may lead into private networks, and be unencrypted.
        allow_loopback: whether they may lead to this machine. Say False where others than you make the calls.

    Raises:
        SetupError: one of the servers cannot be read.
    """

    def __init__(
        self,
        servers: Mapping[str, Any] = {},
        *,
        urls: bool | tuple[str, ...] | list[str] = True,
        allow_private: bool = False,
        allow_loopback: bool = True,
    ) -> None:
        self.servers: Mapping[str, McpServer] = {name: McpServer.of(server) for name, server in servers.items()}
        self._urls = urls
        self._allow_private = allow_private
        self._allow_loopback = allow_loopback
        self._lock = threading.Lock()
        self._connections: dict[tuple[McpServer, Hashable], Connection] = {}
        self._ends: dict[Hashable, Callable[[], None]] = {}
        self._versions: weakref.WeakKeyDictionary[McpServer, str] = weakref.WeakKeyDictionary()
        self._foreign: dict[Hashable, McpServer] = {}
        self._closed = False

    @classmethod
    def from_file(cls, path: str | Path, **settings: Any) -> McpServers:
        """Read an mcp.json, as other programs have it: {"mcpServers": {name: {"command": …} or {"url": …}}}.

        `${NAME}` and `${NAME:-default}` in its texts stand for environment variables; servers with "disabled": true
        are left out.

        Args:
            settings: of this class.

        Raises:
            SetupError: the file cannot be read, or a variable is not set.
        """
        from .config_file import read_servers

        return cls(read_servers(Path(path)), **settings)

    def __repr__(self) -> str:
        return f"McpServers({', '.join(self.servers)})"

    def beside(self, servers: Mapping[str, Any]) -> McpServers:
        """Return a registry of these servers and further ones, under the same policy, with connections of its own."""
        return McpServers(
            {**self.servers, **servers},
            urls=self._urls,
            allow_private=self._allow_private,
            allow_loopback=self._allow_loopback,
        )

    def find(self, tool: Mapping[str, Any]) -> list[tuple[str, McpServer]]:
        """Return the servers that a tool of the Responses API means, with their names; [] when they are not ours.

        Args:
            tool: e.g. {"type": "mcp", "server_label": "docs", "server_url": "antiphon/docs"}. Its `headers` and
                `authorization` go to that server only; `x-litellm-` headers, which are for LiteLLM's gateway, do not.

        Raises:
            UnknownMcpServer: it names a server that is not registered.
            McpAddressRefused: its URL is not allowed.
            InvalidParameter: its URL or headers cannot be read.
        """
        if tool.get("type") != "mcp":
            return []
        label, url = str(tool.get("server_label") or ""), tool.get("server_url")
        if url is None:
            # Without an address it is a connector or tunnel of the provider's, unless the label is one of our names.
            is_ours = not tool.get("connector_id") and not tool.get("tunnel_id") and label in self.servers
            return [(label, self._adapted(label, tool))] if is_ours else []
        if not isinstance(url, str):
            raise InvalidParameter(f"server_url is {type(url).__name__}; text is expected", param="tools")
        names = self._named(url)
        if names is not None:
            return [(name, self._adapted(name, tool)) for name in names]
        registered = self.servers.get(label)
        if registered is not None and registered.url == url:
            return [(label, self._adapted(label, tool))]
        return [(label, self._from_call(url, tool))]

    async def connection(self, name: str, server: McpServer, runtime: Runtime) -> Connection:
        """Return the connection to a server for this mode and event loop; it connects when it is first used.

        Args:
            name: for messages.
            server: one of `servers`, or what `find` returned.
        """
        home = runtime.home()
        with self._lock:
            if self._closed:
                raise SetupError("these MCP servers are closed", hint="make a new McpServers or Client")
            found = self._connections.get((server, home))
            if found is None:
                found = self._connections[server, home] = _connection(name, server, runtime, self.version_of(server))
                if home not in self._ends:
                    itself: weakref.ref[McpServers] = weakref.ref(self)
                    self._ends[home] = runtime.at_end(lambda: _end(itself, home))
        return found

    def close(self) -> None:
        """Close all connections, blocking. Of those of event loops, HTTP sessions are left to end by themselves."""
        with self._lock:
            self._closed = True
            connections, self._connections = self._connections, {}
            ends, self._ends = list(self._ends.values()), {}
        with contextlib.ExitStack() as stack:  # all of them, even when one fails
            for end in ends:
                stack.callback(end)
            for (_, home), connection in connections.items():
                stack.callback(_close_here, connection) if home == os.getpid() else stack.callback(connection.shut)

    async def aclose(self, runtime: Runtime) -> None:
        """Close the connections of the running event loop as is proper, then the others as `close` does."""
        home = runtime.home()
        with self._lock:
            own = [key for key in self._connections if key[1] == home]
            connections = [self._connections.pop(key) for key in own]
            end = self._ends.pop(home, None)
        try:
            await runtime.gather([connection.close for connection in connections])
        finally:
            if end is not None:
                end()
        await runtime.call(self.close)

    def version_of(self, server: McpServer) -> str | None:
        """Return the revision that a server speaks; None as long as that is not known."""
        for (other, _), connection in list(self._connections.items()):
            if other is server and connection.protocol_version is not None:
                return connection.protocol_version
        return self._versions.get(server)

    def _end_of(self, home: Hashable) -> None:
        """Let go of the connections of an event loop that ends."""
        with self._lock:
            gone = {key: self._connections.pop(key) for key in list(self._connections) if key[1] == home}
            self._ends.pop(home, None)
            for (server, _), connection in gone.items():
                if connection.protocol_version is not None:
                    self._versions[server] = connection.protocol_version
        for connection in gone.values():
            connection.shut()

    def _named(self, url: str) -> list[str] | None:
        """Return the registered names that an address stands for; None when it is none of those addresses."""
        for whole, prefix in _OURS.items():
            if url.rstrip("/") in (whole, prefix.rstrip("/")):
                return list(self.servers)
            if url.startswith(prefix):
                names = [name.strip() for name in url.removeprefix(prefix).split(",") if name.strip()]
                for name in names:
                    self._check_name(name)
                return names
        if "://" not in url:
            self._check_name(url)
            return [url]
        return None

    def _check_name(self, name: str) -> None:
        if name not in self.servers:
            known = ", ".join(self.servers) or "none"
            raise UnknownMcpServer(
                f'no MCP server "{name}" is registered{did_you_mean(name, self.servers)}',
                param="server_url",
                hint=f"known: {known}; others are registered by Client(mcp_servers={{...}})",
            )

    def _adapted(self, name: str, tool: Mapping[str, Any]) -> McpServer:
        """Return a registered server, with the credentials that the call brings for it."""
        server = self.servers[name]
        headers, auth = _credentials(tool)
        if server.url is None or not (headers or auth):
            return server
        changes: dict[str, Any] = {"headers": {**server.headers, **headers}}
        if auth is not None:
            changes["auth"] = auth
        return self._kept((name, tuple(headers.items()), auth), lambda: replace(server, **changes))

    def _from_call(self, url: str, tool: Mapping[str, Any]) -> McpServer:
        """Return a server for an address that comes with a call."""
        reach = Reach(private=self._allow_private, loopback=self._allow_loopback)
        host = reach.check_url(url).host
        if self._urls is False or (not isinstance(self._urls, bool) and host not in self._urls):
            raise UnknownMcpServer(
                f"calls may not bring the address {host}",
                param="server_url",
                hint="register the server by a name, or allow its host: McpServers(..., urls=[...])",
            )
        headers, auth = _credentials(tool)
        return self._kept(
            (url, tuple(headers.items()), auth),
            lambda: McpServer(
                url=url,
                headers=headers,
                auth=auth,
                allow_private=self._allow_private,
                allow_loopback=self._allow_loopback,
            ),
        )

    def _kept(self, key: Hashable, make: Callable[[], McpServer]) -> McpServer:
        """Return the same server for the same key, so that its connection is used again; some of the last are kept."""
        with self._lock:
            server = self._foreign.pop(key, None)
            self._foreign[key] = server = make() if server is None else server
            gone: list[Connection] = []
            while len(self._foreign) > _KEPT_FOREIGN:
                old = self._foreign.pop(next(iter(self._foreign)))
                gone += [self._connections.pop(each) for each in list(self._connections) if each[0] is old]
        for connection in gone:
            connection.shut()
        return server


def _connection(name: str, server: McpServer, runtime: Runtime, known: str | None) -> Connection:
    if server.server is not None:
        from .tool_server import ObjectConnection

        return ObjectConnection(name, server, runtime)
    from .connection import WireConnection

    return WireConnection(name, server, runtime, known)


def _credentials(tool: Mapping[str, Any]) -> tuple[dict[str, Secret], Secret | None]:
    """Return the headers and the token that a tool brings for its server."""
    given = tool.get("headers") or {}
    if not isinstance(given, Mapping) or not all(isinstance(value, str | Secret) for value in given.values()):
        raise InvalidParameter("headers of an MCP tool is no mapping of names to texts", param="tools")
    headers = {
        str(name): value if isinstance(value, Secret) else Secret(value)
        for name, value in given.items()
        if not str(name).lower().startswith("x-litellm-")
    }
    token = tool.get("authorization")
    if token is None or isinstance(token, Secret):
        return headers, token
    return headers, Secret(str(token))


def _close_here(connection: Connection) -> None:
    drive(connection.close())


def _end(registry: weakref.ref[McpServers], home: Hashable) -> None:
    found = registry()
    if found is not None:
        found._end_of(home)
