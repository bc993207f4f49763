"""A client: one chain, and the resources that its calls share."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .calls import Calls
from .pipeline.chain import Chain
from .pipeline.engine import Engine
from .pipeline.signals import Sink
from .pipeline.timeouts import Timeouts
from .stages import presets

if TYPE_CHECKING:
    import ssl

    from .pipeline.stores.store import Store


class Client(Calls):
    """Runs one chain with its own connections, time limits and hooks. Safe to share between threads and event loops.

    Close it, or use it as a context manager: it owns connections and the models it started on this machine.

    Args:
        chain: what every call goes through; what is bound to it by `chain.bind(model=...)` counts as default.
        timeouts: the limits of calls that do not bring their own.
        hooks: plain functions that get the signals of every call.
        transport: your own `httpx.Client` (for sync calls) or `httpx.AsyncClient` (for async calls), or httpx2's; it is
            not closed with this client.
        blocking: how sync calls run stages: "step" in place; "portal" on an event loop in a thread, so that stages may
            await foreign async libraries.
        max_connections: open connections at once, per process in sync calls and per event loop in async ones.
        keepalive_s: how long an idle connection is kept, seconds.
        verify: False, a CA file or folder, or an `ssl.SSLContext`, instead of the usual certificate check.
        proxy: a proxy's address; "env" reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; None uses none.
        tenant: whose data stores keep apart.
        mcp_servers: MCP servers that calls may use by name: a mapping of names to URLs, commands as in mcp.json files,
            or objects of this process; or an `antiphon.mcp.McpServers`, which stays its maker's to close.
        state_store: where responses are kept: a store, or the URL of one, e.g. "sqlite:///responses.db".
    """

    def __init__(
        self,
        chain: Chain = presets.responses,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  frozen
        hooks: Iterable[Sink] = (),
        transport: object = None,
        blocking: Literal["step", "portal"] = "step",
        max_connections: int = 1000,
        keepalive_s: float = 30.0,
        verify: bool | str | ssl.SSLContext = True,
        proxy: str | None = "env",
        tenant: str | None = None,
        mcp_servers: Any = None,
        state_store: str | Store | None = None,
    ) -> None:
        self.engine = Engine(
            timeouts=timeouts,
            hooks=hooks,
            transport=transport,
            blocking=blocking,
            tenant=tenant,
            resources={"mcp_servers": mcp_servers, "state_store": state_store},
            network={
                "max_connections": max_connections,
                "keepalive_s": keepalive_s,
                "verify": verify,
                "proxy": proxy,
            },
        )
        super().__init__(chain.check().bind(self.engine))

    @property
    def hook_errors(self) -> int:
        """How many times a hook of this client's calls has failed."""
        return self.engine.hook_errors

    def close(self) -> None:
        """Close what sync calls opened, and what stages own. Idempotent; no call runs afterwards."""
        self.engine.close()

    async def aclose(self) -> None:
        """Close everything, the running event loop's connections included. Idempotent."""
        await self.engine.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Client({self.chain!r})"
