"""A client: one chain, and the resources that its calls share."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from .calls import Calls
from .pipeline.chain import Chain
from .pipeline.engine import Engine
from .pipeline.hook_queue import Hook
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
        hooks: functions that get the signals of every call, plain or async; see `in_background` for slow ones.
        transport: your own `httpx.Client` (for sync calls) or `httpx.AsyncClient` (for async calls), or httpx2's; it is
            not closed with this client.
        blocking: how sync calls run stages: "step" in place; "portal" on an event loop in a thread, so that stages may
            await foreign async libraries.
        max_connections: open connections at once, per process in sync calls and per event loop in async ones.
        keepalive_s: how long an idle connection is kept, seconds.
        verify: False, a CA file or folder, or an `ssl.SSLContext`, instead of the usual certificate check.
        proxy: a proxy's address; "env" reads HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; None uses none.
        tenant: whose data stores keep apart.
        hook_limit: signals that may wait for hooks which run beside their calls; further ones are dropped.
        mcp_servers: MCP servers that calls may use by name: a mapping of names to URLs, commands as in mcp.json files,
            or objects of this process; or an `antiphon.mcp.McpServers`, which stays its maker's to close.
        state_store: where responses are kept: a store, or the URL of one, e.g. "sqlite:///responses.db".
    """

    def __init__(
        self,
        chain: Chain = presets.responses,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  frozen
        hooks: Iterable[Hook] = (),
        transport: object = None,
        blocking: Literal["step", "portal"] = "step",
        max_connections: int = 1000,
        keepalive_s: float = 30.0,
        verify: bool | str | ssl.SSLContext = True,
        proxy: str | None = "env",
        tenant: str | None = None,
        hook_limit: int = 1000,
        mcp_servers: Any = None,
        state_store: str | Store | None = None,
    ) -> None:
        self.engine = Engine(
            timeouts=timeouts,
            hooks=hooks,
            hook_limit=hook_limit,
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

    @property
    def hook_drops(self) -> int:
        """How many signals never reached the hook that they were queued for, see `hook_limit`."""
        return self.engine.hook_drops

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until hooks that run beside their calls have done what is queued now (sync).

        Async hooks of async calls belong to their event loop: wait for them there, by `aflush`.

        Args:
            timeout_s: wait so long at the most, seconds.

        Returns:
            Whether they have.
        """
        return self.engine.flush(timeout_s)

    async def aflush(self) -> None:
        """Wait until all hooks, those on this event loop too, have done what is queued now (async)."""
        await self.engine.aflush()

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
